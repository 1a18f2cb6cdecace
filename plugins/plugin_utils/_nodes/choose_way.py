# SPDX-License-Identifier: GPL-3.0-or-later
"""
Choose the way to a node: as Ansible reaches it.

An action that runs once per play does not depend on ``forks``: it reaches many nodes at once, over the connections
that Ansible already has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import local, ssh, way

_LOCAL = ("local", "ansible.builtin.local")


def kind(action: Any, variables: Any) -> type[way.Way]:
    """Choose by the connection that an action's task has to a host with these variables."""
    return local.Local if variables.get("ansible_connection", action._task.connection) in _LOCAL else ssh.Ssh


def to(hosts: Iterable[str], action: Any, hostvars: Any) -> way.Ways:
    """Return the way to each of some hosts."""
    each = {host: hostvars[host] for host in hosts}
    return {host: kind(action, variables).reaching(host, action, variables) for host, variables in each.items()}


def to_all(action: Any, task_vars: Any) -> way.Ways:
    """Return the way to every host of the play, also to those that failed before."""
    return to(task_vars["ansible_play_hosts_all"], action, task_vars["hostvars"])


def along(connection: Any, host: str, variables: Any) -> way.Way:
    """Describe the way that one of Ansible's connections goes."""
    if connection.transport == "local":
        return local.Local(host, variables)
    return ssh.Ssh(host, variables, connection)
