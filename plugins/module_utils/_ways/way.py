# SPDX-License-Identifier: Apache-2.0
"""
What a way to a node is, whatever carries it: it starts a program there, and knows what its errors mean.

Every way is a file of its own beside this one. Private to the collection.
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

    Args of a subclass decide what else there is: the words of its standard error, and the code it ended with.
    """

    def __init__(self, link: socket.socket) -> None:
        link.setblocking(False)
        self.link = link
        # Where there is one, what can be read there is what the program, or whatever carries it, complains of.
        self.words: Optional[int] = None

    def code(self) -> Optional[int]:
        """Return the exit code of what carries the program; None while it runs, or where nobody can know."""
        return None

    def close(self) -> None:
        """End it, whatever it does."""
        self.link.close()


class Child(Connection):
    """A child process of this machine."""

    def __init__(self, argv: Sequence[str], descriptors: Sequence[int] = ()) -> None:
        """
        Start it.

        Args:
            descriptors: What it inherits.
        """
        ours, theirs = socket.socketpair()
        # Logs come through here: a larger piece at a time costs fewer turns of everybody.
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE_BYTES)
        try:
            link = theirs.fileno()
            # A session of its own: who interrupts us from a terminal asks for a graceful end, over this very channel.
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
        """Kill and collect it."""
        super().close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self.words = None


class Way(ABC):
    """The way to one node."""

    # For how long a node can be silent before its channel ends.
    silence_seconds = 0.0

    def __init__(self, host: str, python: str, environment: str = "") -> None:
        """
        Describe the way; nothing is reached yet.

        Args:
            host: The node's name.
            python: The Python that runs our programs there, as a shell reads it.
            environment: What a shell is to have before it: ``NAME=value`` words, or nothing.
        """
        self.host, self.python, self.environment = host, python, environment

    def command(self, program: str) -> str:
        """Write the command that runs a program of Python's there."""
        words = "exec %s -I -S -c %s" % (self.python, shlex.quote(program))
        return "export %s; %s" % (self.environment, words) if self.environment else words

    @abstractmethod
    def start(self, command: str, seconds: Optional[float] = None) -> Connection:
        """
        Start a command on the node.

        Args:
            seconds: How long to wait for the node's first answer, where its user chose no time; None for as usual.

        Raises:
            OSError: If it cannot even be tried.
        """

    @staticmethod
    @abstractmethod
    def hint(host: str) -> str:
        """Say how to look at a host by hand, to stand behind a colon."""

    def reset(self) -> None:  # noqa: B027  not every way keeps something
        """Forget a connection that was kept and may be dead."""

    def explain(self, text: str, code: Optional[int] = None) -> codes.Problem:
        """Turn what was said where the node could not be reached into a problem."""
        del code
        said = [part.strip() for part in text.replace("\r", "\n").split("\n") if part.strip()]
        return codes.problem("HOST_UNREACHABLE", self.host, said[-1][-400:] if said else "no answer", self.look())

    def is_of_node(self, code: Optional[int]) -> bool:
        """Tell whether an exit code is one of a program on the node, not of the way to it."""
        return code is not None

    def may_pass(self, text: str) -> bool:
        """Return whether what was said need not come again when the node is tried once more."""
        del text
        return False

    def look(self) -> str:
        """Say what to do about a node that does not answer."""
        return "check that it is up: %s" % self.hint(self.host)


Ways = Dict[str, Way]


def shell(command: str) -> str:
    """Write a command for whatever shell a user has on a node."""
    return "/bin/sh -c " + shlex.quote(command)
