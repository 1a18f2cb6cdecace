# SPDX-License-Identifier: Apache-2.0
"""
Start the runner of one node and collect its output: torchrun, mpirun, a command, or MPI daemons.

Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import job_setup
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.control_channel import Feed
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.sampler import Sampler

if TYPE_CHECKING:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Spec

SIGNALLED = 128


class Runners:
    """What this node runs for the job, by process id; ``status`` is that of the first one that failed, or 0."""

    def __init__(self, spec: Spec, lock: Optional[int], feed: Feed, files: Tuple[int, int]) -> None:
        """
        Prepare to start.

        Args:
            files: The job's limits of open files.
        """
        self._spec, self._lock, self._feed, self._files = spec, lock, feed, files
        self._running: Dict[int, subprocess.Popen[bytes]] = {}
        self.on_all_ended: Callable[[], None] = lambda: None
        self.status: Optional[int] = None
        self.cleaner = 0
        self.is_cleaning = False  # whether that program still runs
        self._cleaned = True
        self.sampler = Sampler(spec["samples"])

    def __bool__(self) -> bool:
        return bool(self._running)

    def __contains__(self, pid: int) -> bool:
        return pid in self._running

    def pids(self) -> List[int]:
        """Return the process ids of those that are running."""
        return list(self._running)

    def start(self, argv: Sequence[str]) -> bool:
        """Execute a command line in the job's environment, and return whether that worked."""
        spec = self._spec
        try:
            runner = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=spec["cwd"],
                env=environment(spec),
                start_new_session=True,
                # If this supervisor is killed, the node remains in use as long as the runner lives.
                pass_fds=[self._lock] if self._lock is not None else [],
                preexec_fn=lambda: job_setup.become_job(spec, self._files),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._feed.emit(event=events.START_FAILED, message=reason(error, is_named=True))
            return False
        self._running[runner.pid] = runner
        self._feed.emit(event=events.STARTED, pid=runner.pid, time=time.time())
        for name, pipe in ((run_directory.RUNNER_OUT, runner.stdout), (run_directory.RUNNER_ERR, runner.stderr)):
            assert pipe is not None
            # A duplicate, because the feed closes it, and Python closes its own with the runner.
            self._feed.collect(name, os.dup(pipe.fileno()))
            pipe.close()
        self.sampler.start()
        return True

    def signal(self, number: int) -> bool:
        """Signal the process group of every runner, and return whether that was allowed for all of them."""
        allowed = True
        for pid in self._running:
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                pass  # It has moved to another group, or is a zombie; the sweep finds what is left.
            except OSError:
                allowed = False  # It has become another user, as sudo does.
        return allowed

    def ended(self, pid: int) -> int:
        """Collect a runner that ended, and return its status."""
        status = self._running.pop(pid).wait()
        if self._spec["mpi"] and SIGNALLED < status < SIGNALLED + signal.NSIG:
            status = SIGNALLED - status  # This is how a shell reports that a signal ended its child.
        self.status = self.status or status
        if not self._running:
            self.sampler.end()
            self.on_all_ended()
        return status

    def clean(self) -> bool:
        """
        Start the program that runs last, if any, once, and return whether this call started it.

        It does not carry the mark of the processes to end.
        """
        if not self._spec["after"] or self.cleaner:
            return False
        environment = {key: value for key, value in self._spec["env"].items() if key != run_directory.RUN_ID}
        self._cleaned = False
        try:
            self.cleaner = executables.spawn(self._spec["after"], environment)
        except OSError:
            self.cleaner = -1  # What it would have removed is reported as left.
        self.is_cleaning = self.cleaner > 0
        return True

    def cleaned(self, pid: int, status: int) -> None:
        """Record how that program ended, if this process was it, and the end of the sampler."""
        self.sampler.ended(pid)
        if pid == self.cleaner:
            self._cleaned, self.is_cleaning = status == 0, False

    def left(self) -> List[str]:
        """Return what that program could not remove."""
        return [] if self._cleaned else ["containers that docker does not remove"]


def environment(spec: Spec) -> Dict[str, str]:
    """
    Return the variables of the processes to start.

    mpirun and its daemons see no variables of a scheduler, and ``rank_wrapper`` restores them for ranks. A script that
    calls mpirun sees them: the plan also says which scheduler mpirun must not query.
    """
    if not spec["mpi"] or spec["mpi"]["many"]:
        return spec["env"]
    held, prefix = run_directory.HELD, run_directory.OF_SCHEDULER
    return {held + name if name.startswith(prefix) else name: value for name, value in spec["env"].items()}


def how(status: Optional[int]) -> Dict[str, Any]:
    """Return the exit code and the signal of a status, which is negative for a signal."""
    if status is not None and status < 0:
        return {"exit_code": None, "signal": -status}
    return {"exit_code": status, "signal": None}
