# SPDX-License-Identifier: Apache-2.0
"""
Keep the last samples of a run in its directory while its runners run: in a child process, which a broken GPU may hang.

The supervisor itself does not wake up for this. Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from typing import Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import (
    processes,
    procfs,
    sessions,
    small_files,
    title,
)

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
# The job comes first.
_NICE = 19
_CALM_SECONDS = 2.0
# A process that was killed is gone immediately, unless it hangs in the kernel.
_END_SECONDS, _LOOK_SECONDS = 0.2, 0.002


class Sampler:
    """The child process that takes samples."""

    def __init__(self, beside: Optional[str]) -> None:
        """
        Prepare.

        Args:
            beside: A file on shared storage that gets the latest sample, or None.
        """
        self._beside = beside
        self._running = 0
        # Those that were started; each leads a session, which no process of the job can join.
        self._sessions: Set[int] = set()

    def start(self) -> None:
        """Start it, unless it is running; the working directory is that of the run."""
        if self._running:
            return
        own, run_dir = os.getpid(), os.getcwd()
        try:
            pid = os.fork()
        except OSError:
            return  # The job comes first if processes are scarce.
        if not pid:
            self._be(own, run_dir)
        self._running = pid
        self._sessions.add(pid)

    def end(self) -> None:
        """End it, with everything it has started; do not wait for it if it hangs."""
        if not self._running:
            return
        sessions.end(self._running)  # Not collected yet, so its process id is still ours.
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline:
            if os.waitid(os.P_PID, self._running, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(_LOOK_SECONDS)
        self._running = 0
        small_files.remove(run_directory.PARTIAL_SAMPLES)

    def ended(self, pid: int) -> None:
        """Record that a child of the supervisor has ended and was collected."""
        if pid in self._sessions:
            self._running = 0 if pid == self._running else self._running
            small_files.remove(run_directory.PARTIAL_SAMPLES)
            processes.send(self.helpers() - {self._running}, signal.SIGKILL)
        if self._sessions - {self._running}:
            # The number of a session without members may be reused by a process of the job.
            self._sessions &= {self._running, *map(os.getsid, self.helpers())}

    def helpers(self) -> Set[int]:
        """Return our children that do not belong to the job: the sampler, and its orphans, which we have adopted."""
        return {pid for pid in processes.children(os.getpid()) if self._is_own(pid)} if self._sessions else set()

    def _is_own(self, pid: int) -> bool:
        # It may not have created its session yet.
        return pid == self._running or os.getsid(pid) in self._sessions

    def _be(self, supervisor: int, run_dir: str) -> None:
        """Run as the child, which must neither outlive its supervisor nor be mistaken for one."""
        try:
            control = ctypes.CDLL(None).prctl
            control(_PR_SET_PDEATHSIG, signal.SIGKILL)
            control(_PR_SET_NAME, processes.SAMPLER)
            title.become(["madctl", "samples"])
            os.setsid()
            os.chdir("/")
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            # It must hold neither the node's lock nor the output of the job.
            os.closerange(3, procfs.numbered("/proc/self/fd")[-1] + 1)
            with contextlib.suppress(OSError):
                os.nice(_NICE)
            # At a job's start, a node has the least time for other work, and many runs are over by then.
            time.sleep(_CALM_SECONDS)
            if os.getppid() == supervisor:
                # Imported only here, so that the supervisor's memory stays small.
                from ansible_collections.madctl.multinode.plugins.module_utils._node import samples

                samples.keep(run_dir, self._beside)
        except BaseException:  # noqa: BLE001  a copy of the supervisor must never continue as one
            os._exit(1)
        os._exit(0)
