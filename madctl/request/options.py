# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.whole_numbers import number
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from madctl.errors import Problem, UsageError


@dataclass(frozen=True)
class Targets:
    """The nodes of a request: their names in rank order, and the inventory that reaches them."""

    names: tuple[str, ...]
    inventory: dict[str, Any]
    sources: tuple[str, ...] = ()
    become_password_file: str | None = None


def whole(least: int, most: int) -> Callable[[str], int]:
    """Make what reads a whole number of an option; Python itself would take 1_0, and digits of every script."""

    def read(text: str) -> int:
        found: int | None = number(text, least, most)
        if found is None:
            raise argparse.ArgumentTypeError(f"takes a number from {least} to {most}, not {text!r}")
        return found

    return read


def add_host_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which nodes take part and how they are reached."""
    group = parser.add_argument_group("nodes")
    group.add_argument("--hosts", metavar="LIST", help="gpu[01-16], a,b,c, @group, user@host:port")
    group.add_argument("--hostfile", metavar="FILE", help="one name a line, slots=N optional; or of PBS, LSF, SGE")
    group.add_argument("-i", "--inventory", action="append", metavar="PATH", help="an Ansible inventory (repeatable)")
    group.add_argument("--limit", metavar="PATTERN", help="take only these hosts of the inventory")
    group.add_argument("--lab", metavar="NAME", help="all hosts of a lab, or those of --hosts or --hostfile")
    group.add_argument("--user", metavar="NAME", help="log in as this user")
    group.add_argument("--port", type=whole(1, 65535), metavar="N", help="SSH port")
    group.add_argument("--ssh-config", metavar="FILE", help="use this ssh configuration instead of your own")
    group.add_argument("--become-password-file", metavar="FILE", help="holds the password for sudo on nodes")
    group.add_argument("--accept-new-host-keys", action="store_true", help="trust hosts that were never seen before")


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """Add the run that a command is about."""
    parser.add_argument("run_id", nargs="?", metavar="RUN", help="the run, or how its id begins (default: the latest)")


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Add what stdout carries."""
    parser.add_argument("--output", choices=["text", "json"], default="text", help="what stdout carries (default text)")


def add_since_option(parser: argparse.ArgumentParser) -> None:
    """Add where logs are to begin."""
    parser.add_argument("--since", metavar="WHEN", help="begin here: now, 10m ago, or a time (default: the first byte)")


def since(options: argparse.Namespace) -> dict[str, str]:
    """
    Give where logs are to begin as a variable of the roles, none for the first byte.

    Raises:
        UsageError: If that is no moment.
    """
    from ansible_collections.madctl.multinode.plugins.module_utils._request import moments

    text: str | None = options.since
    if text is None:
        return {}
    try:
        moments.since(text, 0.0)
    except ValueError as error:
        wanted = "now, 30s, 10m, 2h, 1d or a time such as 2026-11-23T10:00"
        raise UsageError(Problem("USAGE", f"--since takes {wanted}, not {text!r}")) from error
    return {"madctl_since": text}


def targets(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Targets:
    """
    Find out which nodes take part.

    Raises:
        UsageError: If the lists cannot be read, or contradict each other.
    """
    from madctl import collection
    from madctl.nodes import inventory
    from madctl.screen import terminal

    password, config = options.become_password_file, options.ssh_config
    _require(password, Problem("BECOME_PASSWORD_FILE_MISSING", f"no file {password}"))
    _require(config, Problem("SSH_CONFIG_MISSING", f"no file {config}"))
    config = config and os.path.abspath(config)
    found = _find(options, environment, inventory.ssh_args(config, options.accept_new_host_keys))
    if config:
        found = replace(found, inventory=inventory.own_connections(found.inventory, config))
    for path in collection.unread(options.inventory or ()):
        why = "Ansible reads that of the current directory, unless everybody may write there, or that of ANSIBLE_CONFIG"
        terminal.tell(f"notice: {path} is not read: {why}")
    wrong = inventory.wrong_login(found.inventory)
    if wrong:
        raise UsageError(wrong)
    wanted = getattr(options, "nnodes", None) or 0
    if wanted > len(found.names):
        raise UsageError(Problem("USAGE", f"--nnodes {wanted} of {len(found.names)} hosts", remedy="name more hosts"))
    return replace(found, become_password_file=password and os.path.abspath(password))


def _find(options: argparse.Namespace, environment: Mapping[str, str], arguments: str) -> Targets:
    from madctl.nodes import hosts, inventory
    from madctl.playbook import engine

    given = [name for name in ("hosts", "hostfile", "inventory") if getattr(options, name) is not None]
    if len(given) > 1:
        raise UsageError(Problem("USAGE", " and ".join(f"--{name}" for name in given) + " exclude each other"))
    if options.lab is not None and options.inventory is not None:
        raise UsageError(Problem("USAGE", "--lab and --inventory exclude each other"))
    if options.limit is not None and not (options.limit and options.inventory):
        message = "--limit takes a pattern" if options.inventory else "--limit needs --inventory"
        raise UsageError(Problem("USAGE", message, remedy="name the hosts: --hosts gpu[01-16]"))
    if options.lab is not None:
        return _lab(options, arguments)
    if options.inventory:
        for source in options.inventory:
            if not os.path.exists(source) and "," not in source:
                raise UsageError(Problem("INVENTORY_MISSING", f"no inventory {source}"))
        names = engine.inventory_hosts(options.inventory, options.limit)
        found = inventory.overlay(names, options.user, options.port, arguments)
        # A later command may be given elsewhere.
        return Targets(tuple(names), found, tuple(map(engine.located, options.inventory)))
    entries = _named(options) or hosts.from_environment(environment) or [hosts.Host("localhost")]
    built = inventory.build(entries, options.user, options.port, arguments)
    return Targets(tuple(entry.name for entry in entries), built)


def _require(path: str | None, problem: Problem) -> None:
    if path is not None and not os.path.isfile(path):
        raise UsageError(problem)


def _lab(options: argparse.Namespace, arguments: str) -> Targets:
    from madctl.lab import power, state
    from madctl.nodes import inventory

    power.require_machine()
    lab = state.load(options.lab)
    entries = _named(options) or [Host(host.name) for host in lab.hosts]
    names = [lab.host(entry.name).name for entry in entries]
    source = str(state.directory(options.lab) / "inventory.yml")
    overlay = inventory.overlay(names, options.user, options.port, arguments)
    return Targets(tuple(names), inventory.as_listed(overlay, entries), (source,))


def _named(options: argparse.Namespace) -> list[Host]:
    """Read the hosts that --hosts or --hostfile names; none where neither is given."""
    from madctl.nodes import hosts

    if options.hosts is not None:
        return hosts.from_list(options.hosts)
    return hosts.from_file(options.hostfile) if options.hostfile is not None else []
