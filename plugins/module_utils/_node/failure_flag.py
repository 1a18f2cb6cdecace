# SPDX-License-Identifier: Apache-2.0
"""
Tell the other nodes of a run that it has failed when nobody else can, through storage that all share.

A directory of the run's own on a path that was proven to be shared:

    PATH/.madctl-RUN/failed   empty until a node writes to it why the run is over
    PATH/.madctl-RUN/NODE     one a node, removed by that node when its share is over; the last removes all

The file is there before anybody looks, because to open a file that exists asks the server, while the
absence of one may be remembered for a minute. Every access is made by a child that may hang without
harm. Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Callable, Optional, Set

PR_SET_NAME = 15

LOOK_SECONDS = 10.0
BEGIN_SECONDS = 3.0
FAILED = "failed"


def directory(path: str, run_id: str) -> str:
    """Name a run's directory on shared storage."""
    return os.path.join(path, ".madctl-" + run_id)


def leave(place: str, own: str) -> None:
    """Take a node's file away, and the directory with the last one; this may hang."""
    os.unlink(os.path.join(place, own))
    if set(os.listdir(place)) <= {FAILED}:
        os.unlink(os.path.join(place, FAILED))
        os.rmdir(place)


def _most_files() -> int:
    return max(map(int, os.listdir("/proc/self/fd"))) + 1


class Beacon:
    """A node's part in a run's directory on shared storage."""

    def __init__(self, path: str, run_id: str, node_rank: int, helper: bytes) -> None:
        """
        Prepare; nothing is touched yet.

        Args:
            helper: The name that children get: they must not be taken for supervisors, whose command line they have.
        """
        self.directory = directory(path, run_id)
        self._helper = helper
        self._own = str(node_rank)
        self._looking: Optional[int] = None
        self.children: Set[int] = set()

    def begin(self) -> None:
        """Make the directory, and this node's file in it, before the run may start: so the last one is known."""
        pid = self._child(self._begin)
        deadline = time.monotonic() + BEGIN_SECONDS
        while time.monotonic() < deadline and pid in self.children:
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.children.discard(pid)
            time.sleep(0.002)

    def look(self) -> None:
        """Look for a failure; ``ended`` tells what the look found. One that hangs is not followed by another."""
        if self._looking is None:
            self._looking = self._child(self._look) or None

    def tell(self) -> None:
        """Write that the run has failed here."""
        self._child(self._tell)

    def end(self) -> None:
        """Take this node's file away, and the directory with the last one, as soon as the storage answers."""
        if self._looking is not None:
            os.kill(self._looking, signal.SIGKILL)  # Not collected yet, so still ours.
        self._child(self._end)

    def ended(self, pid: int, status: int) -> bool:
        """Take note of a child that ended and say whether it found a failure."""
        self.children.discard(pid)
        if pid != self._looking:
            return False
        self._looking = None
        return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1

    def _child(self, work: Callable[[], int]) -> int:
        try:
            pid = os.fork()
        except OSError:
            return 0  # The job has used up all processes; the next look may find room.
        if pid:
            self.children.add(pid)
            return pid
        try:
            # A child that the kernel holds on a dead mount must hold nothing of ours.
            os.setsid()
            os.chdir("/")
            ctypes.CDLL(None).prctl(PR_SET_NAME, self._helper)
            os.closerange(3, _most_files())
            os._exit(work())
        except BaseException:  # noqa: BLE001  a copy of the supervisor must never go on as one
            os._exit(0)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _begin(self) -> int:
        os.makedirs(self.directory, exist_ok=True)
        for name in (FAILED, self._own):
            os.close(os.open(self._path(name), os.O_WRONLY | os.O_CREAT, 0o600))
        return 0

    def _look(self) -> int:
        with open(self._path(FAILED), "rb") as stream:
            return 1 if stream.read(1) else 0

    def _tell(self) -> int:
        descriptor = os.open(self._path(FAILED), os.O_WRONLY)
        os.write(descriptor, self._own.encode() + b"\n")
        os.fsync(descriptor)
        os.close(descriptor)
        return 0

    def _end(self) -> int:
        leave(self.directory, self._own)
        return 0
