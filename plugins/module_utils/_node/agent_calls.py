# SPDX-License-Identifier: Apache-2.0
"""
The streams of an agent: each is one call in a child process, or a connection to a supervisor.

Private to the collection.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
from typing import Any, Dict, List, NoReturn, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, unix_sockets
from ansible_collections.madctl.multinode.plugins.module_utils._node import own_sources

PIECE = 1 << 18
NOT_ARMED = 1  # the exit status of a child whose call failed
_ERROR_CHARACTERS = 2000


class Stream:
    """A call, with its process, or a connection to a supervisor."""

    def __init__(self, number: int, link: socket.socket, pid: Optional[int], deadline: Optional[float]) -> None:
        self.number, self.link, self.pid, self.deadline = number, link, pid, deadline
        self.finishes = False
        self.arms: Optional[str] = None
        self.waiting = bytearray()
        self.is_closing = False
        link.setblocking(False)

    def feed(self) -> None:
        """Pass on as much of the waiting data as the other side takes."""
        try:
            while self.waiting:
                del self.waiting[: self.link.send(memoryview(self.waiting)[:PIECE])]
        except BlockingIOError:
            return
        except OSError:
            self.waiting.clear()
        if self.is_closing:
            self.is_closing = False
            with contextlib.suppress(OSError):
                self.link.shutdown(socket.SHUT_WR)


def connected(directory: str) -> Optional[socket.socket]:
    """Connect to the supervisor of a run; None if that fails."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A supervisor that does not accept must not block this agent and all its other streams.
    link.setblocking(False)
    try:
        unix_sockets.attach(link, os.path.join(directory, run_directory.CONTROL_SOCKET))
    except (OSError, ValueError):
        link.close()
        return None
    return link


def run(link: socket.socket, held: List[socket.socket], channel: Tuple[int, int], asked: Any, speaks: bool) -> NoReturn:
    """
    Run a function, as the child process for it.

    Args:
        link: The socket from which the call is read and on which it is answered.
        held: Sockets of the agent that must be closed in the child.
        channel: The agent's own channel, likewise.
    """
    code = 0
    try:
        os.setsid()
        for other in held:
            other.close()
        for descriptor in (0, 1):
            os.dup2(link.fileno(), descriptor)
        for descriptor in {link.fileno(), *channel} - {0, 1}:
            os.close(descriptor)
        answer = call(asked, speaks)
        code = NOT_ARMED if isinstance(answer, dict) and answer.get("failed") else 0
    finally:
        os._exit(code)


def call(asked: Any, speaks: bool, before: bytes = b"") -> Any:
    """
    Read arguments from standard input, call a function with them, and write and return its answer, or its error.

    Args:
        before: The part of the input that was already read.
    """
    more: List[Any] = [lambda news: write(b"N" + json.dumps(news).encode() + b"\n")] if speaks else []
    try:
        head = _filled(before, 8)
        end = 8 + int(head[:8], 16)
        answer = asked(json.loads(_filled(head, end)[8:end]), *more)
        data = answered(answer)
    except Exception as error:  # noqa: BLE001  any error must reach the caller
        answer = failure(error)
        data = answered(answer)
    write(data)
    return answer


def function(header: Dict[str, Any]) -> Any:
    """Import the function that a request names."""
    module = importlib.import_module("%s.%s" % (own_sources.PACKAGE, header["module"]))
    return getattr(module, header["function"])


def failure(error: Exception) -> Dict[str, Any]:
    """Return the answer of a call that ended with an error."""
    return {"failed": True, "msg": ("%s: %s" % (type(error).__name__, error))[:_ERROR_CHARACTERS]}


def answered(answer: Any) -> bytes:
    """Return an answer as the line to write."""
    return b"A" + json.dumps(answer).encode() + b"\n"


def _filled(data: bytes, count: int) -> bytes:
    """Read standard input until there are this many bytes, including those that were already read."""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            raise EOFError("the request ends in the middle")
        data += piece
    return data


def write(data: bytes) -> None:
    """Write all of some bytes to standard output."""
    while data:
        data = data[os.write(1, data) :]
