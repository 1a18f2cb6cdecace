# SPDX-License-Identifier: GPL-3.0-or-later
"""
What a way to a node is, whatever carries it.

Every way is a file of its own beside this one, and ``choose_way`` is the only one that knows them all. What a way has
for Ansible's own connection (``arguments``, ``limit``, ``explain``, ``may_pass``, ``is_mine``) serves the tasks that
Ansible runs on a node; the rest serves actions that reach many nodes at once.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import remote_program

AT_ONCE = 16


class Way(ABC):
    """The way to one node."""

    # For how long a node can be silent before its channel ends.
    silence_seconds = 0.0

    def __init__(self, host: str, variables: Any) -> None:
        """
        Describe the way; nothing is reached yet.

        Args:
            variables: All variables of the host.

        Raises:
            AnsibleActionFail: If the host has a name that no host can have.
        """
        if not hostlist.is_name(host):
            raise AnsibleActionFail(str(hostlist.hostile(host)))
        self.host = host
        self.python = remote_program.python_of(variables)
        # Variables with which other tasks reach the node in the same way.
        self.arguments: dict[str, str] = {}

    @classmethod
    def reaching(cls, host: str, action: Any, variables: Any) -> Way:
        """Make the way that an action's task has to a host."""
        del action
        return cls(host, variables)

    @abstractmethod
    def start(self, command: str, run_dir: str | None = None) -> subprocess.Popen[bytes]:
        """
        Start a command on the node, its standard streams on pipes.

        Args:
            run_dir: Where the command makes a supervisor to which a channel will be wanted; None if it makes none.
        """

    @abstractmethod
    def channel(self, run_dir: str) -> socket.socket:
        """Open a channel to the supervisor of a run; one that cannot be reached ends at once."""

    def close(self) -> None:  # noqa: B027  not every way has something to remove
        """Remove what channels needed on this machine."""

    @staticmethod
    @abstractmethod
    def hint(host: str) -> str:
        """Say how to look at a host by hand, to stand behind a colon."""

    def limit(self, seconds: float) -> None:  # noqa: B027  not every way waits
        """Have Ansible's connection wait so long for the node, where its user chose no time."""

    def explain(self, text: str) -> codes.Problem:
        """Turn what was said where the node could not be reached into a problem."""
        said = [part.strip() for part in text.replace("\r", "\n").split("\n") if part.strip()]
        return codes.problem("HOST_UNREACHABLE", self.host, said[-1] if said else "no answer", self._look())

    def may_pass(self, text: str) -> bool:
        """Return whether what was said need not come again when the node is tried once more."""
        del text
        return False

    def is_mine(self, text: str) -> bool:
        """Return whether an error is one of the way, although Ansible does not call it one of the connection."""
        del text
        return False

    def _look(self) -> str:
        return "check that it is up: %s" % self.hint(self.host)


Ways = dict[str, Way]


def shell(command: str) -> str:
    """Write a command for whatever shell a user has on a node."""
    return "/bin/sh -c " + shlex.quote(command)


def popen(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process of this machine, its standard streams on pipes."""
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
