# SPDX-License-Identifier: Apache-2.0
"""
Notify the other nodes of a run that it has failed, even without a follower, through storage that all nodes share.

Each run has a directory on a path that was proven to be shared:

    PATH/.madctl-RUN/failed   empty until a node on which the run failed writes its rank to it
    PATH/.madctl-RUN/NODE     one per node, which removes it when its part is over; the last node removes everything

The first file exists before any node reads it: opening a file that exists asks the server, while a missing file may
be cached for a minute. Every access happens in a child process, which may hang without harm. Delivered beside the
supervisor; private to the collection.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from functools import partial
from typing import Callable, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._node import procfs

PR_SET_NAME = 15

LOOK_SECONDS = 10.0
BEGIN_SECONDS = 3.0
FAILED = "failed"


def directory(path: str, run_id: str) -> str:
    """Return a run's directory on shared storage."""
    return os.path.join(path, ".madctl-" + run_id)


def leave(place: str, own: str) -> None:
    """Remove a node's file, and the directory with the last one; this may hang."""
    os.unlink(os.path.join(place, own))
    if set(os.listdir(place)) <= {FAILED}:
        os.unlink(os.path.join(place, FAILED))
        os.rmdir(place)


class Beacon:
    """A node's part in a run's directory on shared storage."""

    def __init__(self, path: str, run_id: str, node_rank: int, helper: bytes) -> None:
        """
        Prepare, without touching the storage.

        Args:
            helper: The name of child processes: they must not be mistaken for supervisors, whose command line they
                have.
        """
        self.directory = directory(path, run_id)
        self._helper = helper
        self._own = str(node_rank)
        self._looking: Optional[int] = None
        self.children: Set[int] = set()

    def begin(self) -> None:
        """Make the directory, and this node's file in it, before the run may start, so that every node is counted."""
        pid = self._child(self._begin)
        deadline = time.monotonic() + BEGIN_SECONDS
        while time.monotonic() < deadline and pid in self.children:
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.children.discard(pid)
            time.sleep(0.002)

    def look(self) -> None:
        """Start a check for a failure, unless one still hangs; ``ended`` returns its result."""
        if self._looking is None:
            self._looking = self._child(self._look) or None

    def tell(self) -> None:
        """Write that the run has failed on this node."""
        self._child(self._tell)

    def end(self) -> None:
        """Remove this node's file, and the directory with the last one, as soon as the storage answers."""
        if self._looking is not None:
            os.kill(self._looking, signal.SIGKILL)  # Not collected yet, so its process id is still ours.
        self._child(partial(leave, self.directory, self._own))

    def ended(self, pid: int, status: int) -> bool:
        """Record that a child ended, and return whether it found a failure."""
        self.children.discard(pid)
        if pid != self._looking:
            return False
        self._looking = None
        return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1

    def _child(self, work: Callable[[], Optional[bool]]) -> int:
        try:
            pid = os.fork()
        except OSError:
            return 0  # The job has exhausted the limit of processes; the next check may succeed.
        if pid:
            self.children.add(pid)
            return pid
        try:
            # A child that hangs on a dead mount must not hold any of our files.
            os.setsid()
            os.chdir("/")
            ctypes.CDLL(None).prctl(PR_SET_NAME, self._helper)
            os.closerange(3, procfs.numbered("/proc/self/fd")[-1] + 1)
            os._exit(1 if work() else 0)
        except BaseException:  # noqa: BLE001  a copy of the supervisor must never continue as one
            os._exit(0)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _begin(self) -> None:
        os.makedirs(self.directory, exist_ok=True)
        for name in (FAILED, self._own):
            os.close(os.open(self._path(name), os.O_WRONLY | os.O_CREAT, 0o600))

    def _look(self) -> bool:
        with open(self._path(FAILED), "rb") as stream:
            return bool(stream.read(1))

    def _tell(self) -> None:
        descriptor = os.open(self._path(FAILED), os.O_WRONLY)
        os.write(descriptor, self._own.encode() + b"\n")
        os.fsync(descriptor)
        os.close(descriptor)
