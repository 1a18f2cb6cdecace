# SPDX-License-Identifier: Apache-2.0
"""What an agent does for one call, in its child and for it, and how it comes to a supervisor. Private."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
from typing import Any, Dict, List, NoReturn, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import own_sources, procfs

NOT_ARMED = 1  # the exit status of a child whose call failed
_ERROR_CHARACTERS = 2000
# What is killed may have started something just before.
_SESSION_LOOKS = 3


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def end_session(leader: int) -> None:
    """Kill the child of a call, and all that it started in its session."""
    _kill(leader)  # First, so that it starts nothing more; it may not have made its session yet.
    for _ in range(_SESSION_LOOKS):
        killed = [pid for pid in _session(leader) if _kill(pid)]
        if not killed:
            break


def _session(leader: int) -> List[int]:
    """List the processes of a session, whatever their groups, but for its leader."""
    found = []
    for pid in procfs.numbered():
        try:
            if pid != leader and os.getsid(pid) == leader:
                found.append(pid)
        except OSError:
            pass
    return found


def connected(directory: str) -> Optional[socket.socket]:
    """Connect with the supervisor of a run; None where there is none."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A supervisor that lets nobody in would have us wait, and all others with us.
    link.setblocking(False)
    try:
        # A run's directory may be longer than the name of a socket.
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            link.connect("/proc/self/fd/%d/%s" % (place, run_directory.CONTROL_SOCKET))
        finally:
            os.close(place)
    except (OSError, ValueError):
        link.close()
        return None
    return link


def run(link: socket.socket, held: List[socket.socket], channel: Tuple[int, int], asked: Any, speaks: bool) -> NoReturn:
    """
    Be the child that a function runs in.

    Args:
        link: What the call is read from and answered on.
        held: Sockets of the agent that must be closed here.
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
    Read arguments from standard input, call a function with them, and write its answer, or why there is none.

    Args:
        before: What of the input was read already.

    Returns:
        The answer.
    """
    more: List[Any] = [lambda news: _write(b"N" + json.dumps(news).encode() + b"\n")] if speaks else []
    source = _Input(before)
    try:
        answer = asked(json.loads(source.take(int(source.take(8), 16))), *more)
        data = answered(answer)
    except Exception as error:  # noqa: BLE001  whatever it is, whoever asked has to hear of it
        answer = failure(error)
        data = answered(answer)
    _write(data)
    return answer


def function(header: Dict[str, Any]) -> Any:
    """Import the function that a request names."""
    module = importlib.import_module("%s.%s" % (own_sources.PACKAGE, header["module"]))
    return getattr(module, header["function"])


def failure(error: Exception) -> Dict[str, Any]:
    """Return the answer of a call that ended with an error."""
    return {"failed": True, "msg": ("%s: %s" % (type(error).__name__, error))[:_ERROR_CHARACTERS]}


def answered(answer: Any) -> bytes:
    """Write an answer."""
    return b"A" + json.dumps(answer).encode() + b"\n"


class _Input:
    """Standard input, of which some may have been read already."""

    def __init__(self, before: bytes) -> None:
        self._before = before

    def take(self, count: int) -> bytes:
        data, self._before = self._before[:count], self._before[count:]
        while len(data) < count:
            piece = os.read(0, count - len(data))
            if not piece:
                raise EOFError("the request ends in the middle")
            data += piece
        return data


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
