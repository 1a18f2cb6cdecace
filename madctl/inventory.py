# SPDX-License-Identifier: Apache-2.0
"""Write the Ansible inventory of a request: hosts in rank order and how to reach them."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from madctl.hosts import Host

GROUP = "madctl_nodes"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
# Connections are shared and kept, never ask questions, and notice a dead peer within seconds.
SSH_ARGS = (
    "-o",
    "ControlMaster=auto",
    "-o",
    "ControlPersist=60s",
    "-o",
    "BatchMode=yes",
    "-o",
    "ServerAliveInterval=3",
    "-o",
    "ServerAliveCountMax=4",
)


def ssh_args(ssh_config: str | None, accept_new_host_keys: bool) -> str:
    """Write the arguments of ssh; without options the user's own configuration alone decides."""
    words = list(SSH_ARGS)
    if accept_new_host_keys:
        words += ["-o", "StrictHostKeyChecking=accept-new"]
    if ssh_config:
        words += ["-F", ssh_config]
    return shlex.join(words)


def own_connections(inventory: dict[str, Any], ssh_config: str) -> dict[str, Any]:
    """
    Keep the connections of an SSH configuration apart from those of others.

    Ansible names a kept connection by host, user and port alone: with another configuration the same name may be
    another machine.
    """
    group = inventory["all"]["children"][GROUP]
    base = os.environ.get("ANSIBLE_SSH_CONTROL_PATH_DIR", "~/.ansible/cp")
    directory = f"{base}/{hashlib.sha256(ssh_config.encode()).hexdigest()[:8]}"
    variables = {**group["vars"], "ansible_control_path_dir": directory}
    return {"all": {"children": {GROUP: {**group, "vars": variables}}}}


def build(entries: Sequence[Host], user: str | None, port: int | None, arguments: str) -> dict[str, Any]:
    """
    Build the inventory as plain data.

    Args:
        entries: Nodes in rank order; an entry's own user and port win over ``user`` and ``port``.
        arguments: What every ssh gets, as one shell-quoted string.
    """
    hosts = {entry.name: _host(rank, entry, user, port) for rank, entry in enumerate(entries)}
    variables: dict[str, Any] = {"ansible_python_interpreter": "/usr/bin/python3"}
    if not all(name in LOCAL for name in hosts):
        variables["ansible_ssh_args"] = arguments
        variables["ansible_pipelining"] = True
    return {"all": {"children": {GROUP: {"hosts": hosts, "vars": variables}}}}


def _host(rank: int, entry: Host, user: str | None, port: int | None) -> dict[str, Any]:
    host: dict[str, Any] = {"madctl_node_rank": rank}
    if entry.name in LOCAL:
        return {**host, "ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    if entry.user or user:
        host["ansible_user"] = entry.user or user
    if entry.port or port:
        host["ansible_port"] = entry.port or port
    if entry.slots:
        host["madctl_slots"] = entry.slots
    return host


def overlay(names: Sequence[str], user: str | None, port: int | None, arguments: str) -> dict[str, Any]:
    """Build what a user's own inventory lacks: which hosts take part, and their ranks."""
    hosts = {name: {"madctl_node_rank": rank} for rank, name in enumerate(names)}
    variables: dict[str, Any] = {"ansible_ssh_args": arguments, "ansible_pipelining": True}
    variables |= {"ansible_user": user} if user else {}
    variables |= {"ansible_port": port} if port else {}
    return {"all": {"children": {GROUP: {"hosts": hosts, "vars": variables}}}}


def narrowed(inventory: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Reduce an inventory to some of its hosts, with ranks in the order of the names."""
    group = inventory["all"]["children"][GROUP]
    hosts = {name: {**group["hosts"][name], "madctl_node_rank": rank} for rank, name in enumerate(names)}
    return {"all": {"children": {GROUP: {"hosts": hosts, "vars": group["vars"]}}}}
