# SPDX-License-Identifier: Apache-2.0
"""
Dial in from a node that a scheduler has reached, and start on it what the other end requests.

``serve`` runs once per node. It keeps one connection waiting. When a command arrives on it, a child runs the command
and carries its bytes, and the next connection is opened. It ends when the other end has gone: immediately if nothing
was started, otherwise once everything that it started has ended, or was ended. The other end is ``dialled``. Private to
the collection.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from typing import List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses, job_signals, sealed, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._ways.bridge import Bridge, keep_alive

_CONNECT_SECONDS = 10.0
# For how long the other end may be unreachable, and how long started programs then have to end by themselves.
AWAY_SECONDS, _ORPHAN_SECONDS = 60.0, 45.0
_PAUSE_SECONDS, _LOOK_SECONDS = 0.5, 0.05
_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER
Place = Tuple[str, int]


class Gone(Exception):  # noqa: N818  an orderly end
    """The other end needs nothing more."""


def dial(place: Place, key: bytes, node: int, name: str) -> Tuple[socket.socket, sealed.Keys]:
    """
    Connect, and perform the handshake.

    Raises:
        OSError: If there is no listener.
        WireError: If the listener does not prove that it knows the key.
    """
    link = socket.create_connection(place, _CONNECT_SECONDS)
    try:
        keep_alive(link)
        theirs = sealed.greeted(_line(link))
        own = sealed.Introduction(node, name, sealed.nonce())
        link.sendall(sealed.introduction(key, theirs, own))
        if not sealed.is_proof(key, theirs, own.nonce, _line(link)):
            raise wire.WireError("the other end does not know the key")
    except BaseException:
        link.close()
        raise
    return link, sealed.keys(key, theirs, own.nonce)


def _line(link: socket.socket) -> bytes:
    said = b""
    while not said.endswith(b"\n"):
        # One by one: bytes after the line are not ours to read.
        piece = link.recv(1)
        if not piece or len(said) > sealed.LINE_BYTES:
            raise wire.WireError("the other end hung up")
        said += piece
    return said[:-1]


def command(link: socket.socket, opens: sealed.Opener) -> str:
    """
    Wait for the command on a connection.

    Raises:
        Gone: If the other end hangs up instead.
    """
    link.settimeout(None)
    while True:
        try:
            data = link.recv(sealed.RECORD_BYTES)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        for piece in opens.feed(data):
            # The other end sends nothing else before the command has answered.
            return piece.decode()


def carry(link: socket.socket, keys: sealed.Keys, wanted: str, opens: sealed.Opener) -> None:
    """Run a command, and carry its bytes until its end."""
    ours, theirs = socket.socketpair()
    variables = {**os.environ, addresses.CAME_IN_BY: link.getsockname()[0]}
    with theirs:
        argv, both = ["/bin/sh", "-c", wanted], theirs.fileno()
        child = subprocess.Popen(argv, stdin=both, stdout=both, env=variables, start_new_session=True)
    loop = Loop()
    bridge = Bridge(loop, ours, link, sealed.Sealer(keys.dials), opens, lambda: None)
    while not bridge.is_over:
        loop.turn()
    child.wait()


class Dialler:
    """One node's program."""

    def __init__(self, place: Place, key: bytes, node: int, name: str, first_seconds: Optional[float] = None) -> None:
        self._place, self._key, self._node, self._name = place, key, node, name
        self._first_seconds = AWAY_SECONDS if first_seconds is None else first_seconds
        self._was_in = self._has_started = False

    def run(self) -> None:
        """Dial until the other end has gone."""
        while True:
            found = self._connected()
            if found is None:
                return
            link, keys = found
            opens = sealed.Opener(keys.listens)
            try:
                wanted = command(link, opens)
            except (Gone, wire.WireError):
                link.close()
                continue  # The next attempts to dial show whether it has gone for good.
            if not os.fork():
                _carry_and_exit(link, keys, wanted, opens)
            self._has_started = True
            link.close()

    def _connected(self) -> Optional[Tuple[socket.socket, sealed.Keys]]:
        """Connect, for as long as the other end may return; None if it does not, or nothing waits for it."""
        until = time.monotonic() + (AWAY_SECONDS if self._was_in else self._first_seconds)
        while True:
            try:
                found = dial(self._place, self._key, self._node, self._name)
                self._was_in = True
                return found
            except wire.WireError as error:
                why: Exception = error
            except OSError as error:
                why = error
                if self._was_in and isinstance(error, ConnectionRefusedError):
                    return None  # The other end has closed its listener.
            if time.monotonic() >= until:
                if self._was_in:
                    return None
                sys.exit("madctl: %s: cannot dial in to %s, port %d: %s" % (self._name, *self._place, why))
            time.sleep(_PAUSE_SECONDS)


def _carry_and_exit(link: socket.socket, keys: sealed.Keys, wanted: str, opens: sealed.Opener) -> None:
    code = 1
    try:
        # A scheduler's signal to all processes must not end this, or the agent, before a supervisor has ended its job.
        # A supervisor has its own handler, so the job does not inherit that the signal is ignored.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        carry(link, keys, wanted, opens)
        code = 0
    finally:
        os._exit(code)


# -- what was started ------------------------------------------------------------------------------


def _parents() -> List[Tuple[int, int]]:
    """Return every process, with its parent."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        path = "/proc/%s/stat" % entry
        with contextlib.suppress(OSError, ValueError, IndexError), open(path, errors="replace") as stream:
            found.append((int(entry), int(stream.read().rpartition(")")[2].split()[1])))
    return found


def children(pid: int) -> List[int]:
    """Return the processes that a process has started or adopted."""
    return [child for child, parent in _parents() if parent == pid]


def descendants(pid: int) -> List[int]:
    """Return the processes below one that adopts orphans."""
    below, known = {pid}, _parents()
    while True:
        more = {child for child, parent in known if parent in below} - below
        if not more:
            return sorted(below - {pid})
        below |= more


def end_all(seconds: float) -> None:
    """End everything that was started, first gracefully, then by force: a job must not outlive its step."""
    own = os.getpid()
    for pid in children(own):
        _signal(pid, signal.SIGTERM)  # A supervisor, which ends its job.
    deadline = time.monotonic() + seconds
    while descendants(own):
        if time.monotonic() >= deadline:
            for pid in descendants(own):
                _signal(pid, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def serve(place: Place, key_file: str, node: int, name: str, first_seconds: Optional[float] = None) -> None:
    """
    Take part in one run on this node.

    Args:
        place: The address of the other end.
        key_file: A file on shared storage: reading it proves that the storage is shared.
        node: The number of this node among those of the run.
        first_seconds: How long the other end may take to listen; None for the time for which it may be unreachable
            later.

    Raises:
        SystemExit: If the key cannot be read, or the other end cannot be reached in time, with the reason.
    """
    # Orders come from the other end. A scheduler's signal to all processes must not end this one first.
    for number in (signal.SIGTERM, *job_signals.FOR_RANKS):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1)
    try:
        with open(key_file, "rb") as stream:
            key = stream.read(sealed.KEY_BYTES)
    except OSError as error:
        sys.exit("madctl: %s: cannot see %s: %s" % (name, key_file, error.strerror))
    Dialler(place, key, node, name, first_seconds).run()
    end_all(_ORPHAN_SECONDS)
