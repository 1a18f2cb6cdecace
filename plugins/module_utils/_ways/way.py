# SPDX-License-Identifier: Apache-2.0
"""
The interface of a way to a node, whatever carries it: it starts a program on the node, and interprets its errors.

Each way has its own file beside this one. Private to the collection.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from typing import Dict, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._ways import open_files

_PIECE_BYTES = 1 << 20


class Connection:
    """
    A program that was started on a node: a socket that is its standard input and output.

    A subclass may also have its standard error, and its exit code.
    """

    def __init__(self, link: socket.socket) -> None:
        link.setblocking(False)
        self.link = link
        # A descriptor with the error messages of the program and of its carrier, if there is one.
        self.words: Optional[int] = None

    def code(self) -> Optional[int]:
        """Return the exit code of what carries the program; None while it runs, or if unknown."""
        return None

    def close(self) -> None:
        """End it, whatever it is doing."""
        self.link.close()


class Child(Connection):
    """A child process of this machine."""

    def __init__(self, argv: Sequence[str], descriptors: Sequence[int] = ()) -> None:
        """
        Start it.

        Args:
            descriptors: The descriptors that it inherits.
        """
        ours, theirs = socket.socketpair()
        # Logs pass through here: larger pieces take fewer turns of the loop.
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE_BYTES)
        try:
            link = theirs.fileno()
            # In a new session: an interrupt from a terminal must reach it as a graceful stop, over this very channel.
            self._process = subprocess.Popen(
                argv,
                stdin=link,
                stdout=link,
                stderr=subprocess.PIPE,
                pass_fds=tuple(descriptors),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        open_files.spare(self._process.pid)
        super().__init__(ours)
        assert self._process.stderr is not None
        self.words = self._process.stderr.fileno()
        os.set_blocking(self.words, False)

    def code(self) -> Optional[int]:
        """Return its exit code; None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """Kill and reap it."""
        super().close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self.words = None


class Way(ABC):
    """The way to one node."""

    # How long a node can be silent before its channel ends.
    silence_seconds = 0.0

    def __init__(self, host: str, python: str, environment: str = "") -> None:
        """
        Describe the way; the node is not contacted yet.

        Args:
            host: The node's name.
            python: The Python that runs our programs on the node, as a shell reads it.
            environment: What a shell exports first: ``NAME=value`` words, or nothing.
        """
        self.host, self.python, self.environment = host, python, environment

    def command(self, program: str) -> str:
        """Build the command that runs a Python program on the node."""
        words = "exec %s -I -S -c %s" % (self.python, shlex.quote(program))
        return "export %s; %s" % (self.environment, words) if self.environment else words

    @abstractmethod
    def start(self, command: str, seconds: Optional[float] = None) -> Connection:
        """
        Start a command on the node.

        Args:
            seconds: How long to wait for the node's first answer, unless the user chose that; None for the default.

        Raises:
            OSError: If it cannot even be attempted.
        """

    @staticmethod
    @abstractmethod
    def hint(host: str) -> str:
        """Return how to check a host by hand, worded to follow a colon."""

    def reset(self) -> None:  # noqa: B027  not every way keeps a connection
        """Forget a kept connection, which may be dead."""

    def explain(self, text: str, code: Optional[int] = None) -> codes.Problem:
        """Turn the error text for an unreachable node into a problem."""
        del code
        said = [part.strip() for part in text.replace("\r", "\n").split("\n") if part.strip()]
        return codes.problem("HOST_UNREACHABLE", self.host, said[-1][-400:] if said else "no answer", self.look())

    def is_of_node(self, code: Optional[int]) -> bool:
        """Return whether an exit code is from a program on the node, not from the way to it."""
        return code is not None

    def may_pass(self, text: str) -> bool:
        """Return whether the error may go away when the node is retried."""
        del text
        return False

    def look(self) -> str:
        """Return the remedy for a node that does not answer."""
        return "check that it is up: %s" % self.hint(self.host)


Ways = Dict[str, Way]


def shell(command: str) -> str:
    """Format a command for any shell that a user may have on a node."""
    return "/bin/sh -c " + shlex.quote(command)
