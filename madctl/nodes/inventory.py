# SPDX-License-Identifier: Apache-2.0
"""The nodes of a request, and their Ansible inventory: hosts in rank order and how to reach them."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist, kinds
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import values
from madctl.errors import Problem

GROUP = "madctl_nodes"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
# Arguments of ssh from the command line; our own actions append them to those of an inventory or of settings.
ARGUMENTS = "madctl_ssh_args"
# Variables of the job for a single host.
OWN_ENV = "madctl_env"
_LOGIN = {"user": ("ansible_user", "ansible_ssh_user"), "port": ("ansible_port", "ansible_ssh_port")}


@dataclass(frozen=True)
class Targets:
    """The nodes of a request, as all commands pass them on: their names in rank order, and their inventory."""

    names: tuple[str, ...]
    inventory: dict[str, Any]
    sources: tuple[str, ...] = ()
    become_password_file: str | None = None
    # How Ansible reaches them, if that is known; see ``reach``.
    reach: dict[str, Any] | None = None


def of_group(hosts: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """Make an inventory of some hosts and their common variables."""
    return {"all": {"children": {GROUP: {"hosts": hosts, "vars": variables}}}}


def group_of(inventory: dict[str, Any]) -> dict[str, Any]:
    """Return ``hosts`` and ``vars`` of an inventory."""
    group: dict[str, Any] = inventory["all"]["children"][GROUP]
    return group


def with_variables(inventory: dict[str, Any], **more: str) -> dict[str, Any]:
    """Add common variables to an inventory."""
    group = group_of(inventory)
    return of_group(group["hosts"], {**group["vars"], **more})


def ssh_args(ssh_config: str | None, accept_new_host_keys: bool) -> str:
    """Write the arguments of ssh; without options, only the user's SSH configuration counts."""
    words = ["-o", "StrictHostKeyChecking=accept-new"] if accept_new_host_keys else []
    return shlex.join([*words, *(["-F", ssh_config] if ssh_config else [])])


def own_connections(inventory: dict[str, Any], ssh_config: str) -> dict[str, Any]:
    """
    Keep persistent connections of one SSH configuration apart from those of others.

    Ansible names them by host, user and port only, and with another configuration the same name may mean another
    machine.
    """
    directory = f"{control_directory()}/{hashlib.sha256(os.fsencode(ssh_config)).hexdigest()[:8]}"
    return with_variables(inventory, ansible_control_path_dir=directory)


def control_directory() -> str:
    """Return the directory in which Ansible keeps the sockets of its connections."""
    return os.environ.get("ANSIBLE_SSH_CONTROL_PATH_DIR") or f"{os.environ.get('ANSIBLE_HOME') or '~/.ansible'}/cp"


def build(entries: Sequence[Host], user: str | None, port: int | None, arguments: str) -> dict[str, Any]:
    """
    Build the inventory as plain data.

    Args:
        entries: Nodes in rank order; the user and the port of an entry override ``user`` and ``port``.
        arguments: The arguments of every ssh, as one shell-quoted string.
    """
    hosts = {entry.name: _host(rank, entry, user, port) for rank, entry in enumerate(entries)}
    variables: dict[str, Any] = {"ansible_python_interpreter": "/usr/bin/python3"}
    if not all("ansible_connection" in host for host in hosts.values()):
        variables |= _connection(arguments)
    return of_group(hosts, variables)


def _host(rank: int, entry: Host, user: str | None, port: int | None) -> dict[str, Any]:
    host = {"madctl_node_rank": rank, **_listed(entry, user, port)}
    # A user or a port implies SSH, even to this machine.
    if entry.name in LOCAL and not host.keys() & {"ansible_user", "ansible_port"}:
        return {**host, "ansible_connection": "local", "ansible_python_interpreter": shlex.quote(sys.executable)}
    return host


def _listed(entry: Host, user: str | None, port: int | None) -> dict[str, Any]:
    said = {
        "ansible_user": entry.user or user,
        "ansible_port": entry.port or port,
        "madctl_slots": entry.slots,
        "madctl_python": entry.python,
        "madctl_interface": entry.interface,
        OWN_ENV: dict(entry.env) or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def overlay(names: Sequence[str], user: str | None, port: int | None, arguments: str) -> dict[str, Any]:
    """Build what a user's own inventory lacks: which hosts take part, and their ranks."""
    login = {name: user for name in _LOGIN["user"] if user is not None} | {
        name: port for name in _LOGIN["port"] if port is not None
    }
    # For plain Ansible; madctl itself passes those of the group as extra variables, which override everything.
    hosts = {name: {"madctl_node_rank": rank, **login} for rank, name in enumerate(names)}
    return of_group(hosts, {**_connection(arguments), **login})


def _connection(arguments: str) -> dict[str, Any]:
    return {"ansible_pipelining": True, **({ARGUMENTS: arguments} if arguments else {})}


def typed(inventory: dict[str, Any]) -> dict[str, Any]:
    """Return the login that was typed for all hosts; it overrides every inventory."""
    variables = group_of(inventory)["vars"]
    return {name: variables[name] for names in _LOGIN.values() for name in names if name in variables}


def wrong_login(inventory: dict[str, Any]) -> Problem | None:
    """Find an invalid user or port: they become arguments of ssh."""
    group = group_of(inventory)
    for variables in (group["vars"], *group["hosts"].values()):
        for user in _given(variables, "user"):
            if not (isinstance(user, str) and hostlist.NAME.fullmatch(user)):
                remedy = "use letters, digits, '.', '-' and '_', not '-' first"
                return Problem("USER_INVALID", f"{user!r} is not a valid user name", remedy=remedy)
        for port in _given(variables, "port"):
            if not (isinstance(port, int) and 1 <= port <= 65535):
                return Problem("USAGE", kinds.PORT.refusal("--port", port))
    return None


def _given(variables: dict[str, Any], what: str) -> list[Any]:
    return [variables[name] for name in _LOGIN[what] if name in variables]


def plain(inventory: dict[str, Any]) -> dict[str, Any]:
    """Add to an inventory what plain Ansible needs, unlike our own actions."""
    arguments = group_of(inventory)["vars"].get(ARGUMENTS)
    return with_variables(inventory, ansible_ssh_extra_args=arguments) if arguments else inventory


def as_listed(inventory: dict[str, Any], entries: Iterable[Host]) -> dict[str, Any]:
    """Add the variables from a host list to an inventory of the same hosts."""
    group = group_of(inventory)
    hosts = {entry.name: {**group["hosts"][entry.name], **_listed(entry, None, None)} for entry in entries}
    return of_group(hosts, group["vars"])


def narrowed(inventory: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Reduce an inventory to some of its hosts, with ranks in the order of the names."""
    group = group_of(inventory)
    hosts = {name: {**group["hosts"][name], "madctl_node_rank": rank} for rank, name in enumerate(names)}
    return of_group(hosts, group["vars"])


def without_values(inventory: dict[str, Any]) -> dict[str, Any]:
    """Remove the values of the job's variables from an inventory, so that it can be stored."""
    group = group_of(inventory)
    hosts = {name: {key: value for key, value in own.items() if key != OWN_ENV} for name, own in group["hosts"].items()}
    return of_group(hosts, group["vars"])


def own_secrets(targets: Targets) -> tuple[str, ...]:
    """Return the secret values among the variables of single hosts."""
    return values(
        pair for own in group_of(targets.inventory)["hosts"].values() for pair in own.get(OWN_ENV, {}).items()
    )
