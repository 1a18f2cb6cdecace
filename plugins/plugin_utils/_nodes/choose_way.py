# SPDX-License-Identifier: GPL-3.0-or-later
"""
Choose the way to a node: as Ansible reaches it.

An action that runs once per play does not depend on ``forks``: it reaches many nodes at once, as Ansible's own
connections would.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local
from ansible_collections.madctl.multinode.plugins.module_utils._ways.ssh import Ssh
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Way, Ways
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import ansible_ssh
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import python_of

_LOCAL = ("local", "ansible.builtin.local")
# Connections of which Ansible's own is left as it is, and ours goes the same way.
_STREAMS = ("ssh", "local")


def kind(action: Any, variables: Any) -> type[Way]:
    """Choose by the connection that an action's task has to a host with these variables."""
    return Local if variables.get("ansible_connection", action._task.connection) in _LOCAL else Ssh


def carries_bytes(connection: Any) -> bool:
    """Tell whether what a connection of Ansible's reaches is also reached by a way of ours."""
    return connection.transport in _STREAMS


def arguments(connection: Any, variables: Any) -> dict[str, str]:
    """Add to a connection of Ansible's what all of ours need, and give what other modules of a role need for that."""
    if connection.transport != "ssh":
        return {}
    return {"ssh_extra_args": ansible_ssh.adapt(connection, variables)}


def to(hosts: Iterable[str], action: Any, hostvars: Any) -> Ways:
    """
    Return the way to each of some hosts.

    Raises:
        AnsibleActionFail: If one has a name that no host can have.
    """
    environment = action._compute_environment_string()
    return {host: _way(host, action, hostvars[host], environment) for host in hosts}


def _way(host: str, action: Any, variables: Any, environment: str) -> Way:
    if not hostlist.is_name(host):
        raise AnsibleActionFail(str(hostlist.hostile(host)))
    python = python_of(variables)
    if kind(action, variables) is Local:
        return Local(host, python, environment)
    return Ssh(host, python, ansible_ssh.login(host, action, variables), environment)
