# SPDX-License-Identifier: GPL-3.0-or-later
"""
Choose the way to a node to match how Ansible reaches it.

An action that runs once per play does not depend on ``forks``: it reaches many nodes at once, as Ansible's own
connections would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local
from ansible_collections.madctl.multinode.plugins.module_utils._ways.ssh import Ssh
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Way, Ways
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import ansible_ssh
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import python_of
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_LOCAL = ("local", "ansible.builtin.local")
# Ansible's own, and others that log in where ssh does.
_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")
_REMEDY = "set ansible_connection to ssh or local there; roles that inspect one node work over any connection"
# Connections for which Ansible's own is left unchanged, and ours goes the same way.
_STREAMS = ("ssh", "local")


def _connection(action: Any, variables: Any) -> str:
    return str(variables.get("ansible_connection", action._task.connection))


def _is_stream(action: Any, variables: Any) -> bool:
    name = _connection(action, variables)
    return name in _LOCAL or name.removeprefix("ansible.builtin.") in _SSH


def kind(action: Any, variables: Any) -> type[Way]:
    """Return the kind of way for the connection of an action's task to a host with these variables."""
    return Local if _connection(action, variables) in _LOCAL else Ssh


def carries_bytes(connection: Any) -> bool:
    """Return whether our ways reach what an Ansible connection reaches."""
    return connection.transport in _STREAMS


def arguments(connection: Any, variables: Any) -> dict[str, str]:
    """Add what all of ours need to a connection; return the variables that other modules of a role need for it."""
    if connection.transport != "ssh":
        return {}
    return {"ssh_extra_args": ansible_ssh.adapt(connection, variables)}


def to(hosts: Sequence[str], action: Any, hostvars: Any) -> Ways:
    """
    Return the way to each of some hosts.

    Raises:
        AnsibleActionFail: If one has a name that no host can have, or a connection that carries no stream of bytes.
    """
    others = {host: _connection(action, hostvars[host]) for host in hosts if not _is_stream(action, hostvars[host])}
    message = "its connection %s carries no stream of bytes"
    playbook_screen.refuse(
        [codes.problem("CONNECTION_UNSUPPORTED", host, message % name, _REMEDY) for host, name in others.items()]
    )
    environment = action._compute_environment_string()
    typed = ansible_ssh.typed_password(action, hostvars, hosts)
    return {host: _way(host, action, hostvars[host], environment, typed) for host in hosts}


def _way(host: str, action: Any, variables: Any, environment: str, typed: str | None) -> Way:
    if not hostlist.is_name(host):
        raise AnsibleActionFail(str(hostlist.hostile(host)))
    python = python_of(variables)
    if kind(action, variables) is Local:
        return Local(host, python, environment)
    return Ssh(host, python, ansible_ssh.login(host, action, variables, typed), environment)
