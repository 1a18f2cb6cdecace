# SPDX-License-Identifier: Apache-2.0
"""Choose the nodes of a request from host lists, an inventory, a lab, or a scheduler's allocation."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace

from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from madctl import ansible_settings
from madctl.errors import Problem, UsageError, refused
from madctl.nodes import hosts, inventory, own_inventory
from madctl.nodes.inventory import Targets
from madctl.screen import terminal


def targets(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Targets:
    """
    Determine which nodes take part.

    Raises:
        UsageError: If the lists are invalid, or contradict each other.
    """
    password, config = options.become_password_file, options.ssh_config
    _require(password, Problem("BECOME_PASSWORD_FILE_MISSING", f"no file {password}"))
    _require(config, Problem("SSH_CONFIG_MISSING", f"no file {config}"))
    config = config and os.path.abspath(config)
    found = _find(options, environment, inventory.ssh_args(config, options.accept_new_host_keys))
    if config:
        found = replace(found, inventory=inventory.own_connections(found.inventory, config))
    for path in ansible_settings.unread(options.inventory or ()):
        why = "Ansible reads that of the current directory, unless it is world-writable, or that of ANSIBLE_CONFIG"
        terminal.tell(f"notice: {path} is not read: {why}")
    wrong = inventory.wrong_login(found.inventory)
    if wrong:
        raise UsageError(wrong)
    found = _without(found, getattr(options, "exclude", None))
    wanted = getattr(options, "nnodes", None) or 0
    if wanted > len(found.names):
        message = f"--nnodes {wanted} exceeds the number of hosts, {len(found.names)}"
        raise refused("USAGE", message, remedy="name more hosts")
    return replace(found, become_password_file=password and os.path.abspath(password))


def _find(options: argparse.Namespace, environment: Mapping[str, str], arguments: str) -> Targets:
    given = [name for name in ("hosts", "hostfile", "inventory") if getattr(options, name) is not None]
    if len(given) > 1:
        raise refused("USAGE", " and ".join(f"--{name}" for name in given) + " exclude each other")
    if options.lab is not None and options.inventory is not None:
        raise refused("USAGE", "--lab and --inventory exclude each other")
    if options.limit is not None and not (options.limit and options.inventory):
        message = "--limit takes a pattern" if options.inventory else "--limit needs --inventory"
        raise refused("USAGE", message, remedy="name the hosts: --hosts gpu[01-16]")
    if options.lab is not None:
        return _lab(options, arguments)
    if options.inventory:
        for source in options.inventory:
            if not os.path.exists(source) and "," not in source:
                raise refused("INVENTORY_MISSING", f"no inventory {source}")
        names = own_inventory.hosts(options.inventory, options.limit)
        found = inventory.overlay(names, options.user, options.port, arguments)
        # Later commands may run in another directory.
        return Targets(tuple(names), found, tuple(map(own_inventory.located, options.inventory)))
    entries = _named(options) or hosts.from_environment(environment) or [Host("localhost")]
    built = inventory.build(entries, options.user, options.port, arguments)
    return Targets(tuple(entry.name for entry in entries), built)


def _without(found: Targets, text: str | None) -> Targets:
    """Leave out hosts, whatever the source of the others."""
    if not text:
        return found
    names, count = hosts.remaining(found.names, text)
    if not count:
        terminal.tell("notice: --exclude names none of the hosts")
        return found
    return replace(found, names=tuple(names), inventory=inventory.narrowed(found.inventory, names))


def _require(path: str | None, problem: Problem) -> None:
    if path is not None and not os.path.isfile(path):
        raise UsageError(problem)


def _lab(options: argparse.Namespace, arguments: str) -> Targets:
    from madctl.lab import power, state

    power.require_machine()
    lab = state.load(options.lab)
    entries = _named(options) or [Host(host.name) for host in lab.hosts]
    names = [lab.host(entry.name).name for entry in entries]
    source = str(state.directory(options.lab) / "inventory.yml")
    overlay = inventory.overlay(names, options.user, options.port, arguments)
    return Targets(tuple(names), inventory.as_listed(overlay, entries), (source,))


def _named(options: argparse.Namespace) -> list[Host]:
    """Return the hosts of --hosts or --hostfile; none if neither is given."""
    if options.hosts is not None:
        return hosts.from_list(options.hosts)
    return hosts.from_file(options.hostfile) if options.hostfile is not None else []
