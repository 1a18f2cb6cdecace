# SPDX-License-Identifier: Apache-2.0
"""
Follow a run in a job by its files, on a machine that can read them.

While the job waits, the scheduler is queried at growing intervals, and after that only if the job's own heartbeat has
stopped. Private to the collection.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._submit import ends, place, slurm

# Between queries to the scheduler.
_FIRST_SECONDS, _MOST_SECONDS = 2.0, 60.0
_MORE_PATIENT, _ASK_AGAIN_SECONDS = 1.5, 0.5
# Without a heartbeat for this long, the scheduler is asked whether the job is still running.
_SILENT_SECONDS = 6 * job_directory.BEAT_SECONDS
# A result may arrive over a network file system later than the scheduler knows of the end; and a job that was told to
# end takes a while.
_LATE_SECONDS, _ENDING_SECONDS = 3.0, 60.0
_TAIL_BYTES = 1 << 12
_ORDERS = {wire.STOP: b"stop\n", wire.KILL: b"kill\n"}

Result = Dict[str, Any]


class Job(NamedTuple):
    """A job: its id, the directory of its run, and the configuration of its Slurm, empty for the default."""

    job_id: str
    place: Path
    conf: str = ""


class Watch:
    """Follows one run until it has ended."""

    def __init__(self, job: Job, tell: Callable[[str], None]) -> None:
        """
        Prepare.

        Args:
            tell: Gets what the job waits for, in words, whenever that changes.
        """
        self._job, self._tell = job, tell
        self._story = place.Story(job.place)
        self._pause, self._ask_at = _FIRST_SECONDS, time.monotonic() + _FIRST_SECONDS / 4
        self._told: Optional[slurm.State] = None
        self._beat: Any = None
        self._beat_at = time.monotonic()
        self._over_at: Optional[float] = None
        self._last = slurm.FORGOTTEN
        self._is_obeyed = False

    def frames(self) -> List[wire.Frame]:
        """
        Return the frames that were added to the story, some at a time.

        Raises:
            WireError: If it is not a story.
        """
        return self._story.more()

    def order(self, order: bytes) -> None:
        """Carry out an order to stop or to kill: cancel a waiting job, and tell a running one."""
        self._is_obeyed = True
        if self._story.has_begun:
            place.write(self._job.place, job_directory.ORDER, _ORDERS[order])
            slurm.ring(self._job.job_id, self._job.conf)
        else:
            slurm.cancel(self._job.job_id, self._job.conf)
            self._ask_at = 0.0

    def result(self) -> Optional[Result]:
        """Return how the run ended, once all of its story was read; None until then."""
        # The result before the story: everything that was written before the result is then read before it.
        found = place.read(self._job.place, job_directory.RESULT)
        if found is not None:
            return None if self._story.more_waits else self._explained(found)
        now = time.monotonic()
        if self._over_at is not None:
            return self._unrecorded() if now >= self._over_at else None
        if now >= self._ask_at and not self._is_alive(now):
            self._ask(now)
        return None

    def _is_alive(self, now: float) -> bool:
        if not self._story.has_begun:
            return False
        beat = place.read(self._job.place, job_directory.STATE)
        if beat != self._beat:
            self._beat, self._beat_at = beat, now
        return now - self._beat_at < _SILENT_SECONDS

    def _ask(self, now: float) -> None:
        self._pause = min(self._pause * _MORE_PATIENT, _MOST_SECONDS)
        self._ask_at = now + self._pause
        try:
            state = self._look()
        except Refused as refused:
            self._tell(str(refused))  # The run does not depend on it.
            return
        if state.is_final or state == slurm.FORGOTTEN:
            self._last, self._over_at = state, now + _LATE_SECONDS
        elif not self._story.has_begun and state != self._told:
            self._told = state
            self._tell("job %s is %s" % (self._job.job_id, ends.waiting(state, time.time())))

    def _look(self) -> slurm.State:
        return slurm.look(self._job.job_id, self._job.conf)

    def _explained(self, result: Result) -> Result:
        """Explain why the scheduler ended a run that only knows that it did; or that we did, if we told it."""
        problems = result.get("problems") or []
        if self._is_obeyed and problems and problems[0]["code"] == "RUN_STOPPED":
            return _judged(result, codes.problem("INTERRUPTED", None, "interrupted"))
        if not result.get("by_scheduler"):
            return result
        deadline, state = time.monotonic() + _ENDING_SECONDS, slurm.State("RUNNING")
        while not state.is_final and state != slurm.FORGOTTEN and time.monotonic() < deadline:
            time.sleep(_ASK_AGAIN_SECONDS)
            try:
                state = self._look()
            except Refused:
                break
        found = ends.meaning(state)
        return _judged(result, found) if found else result

    def _unrecorded(self) -> Result:
        if self._is_obeyed and not self._story.has_begun:
            message = "interrupted; job %s was cancelled before it began" % self._job.job_id
            return _judged({}, codes.problem("INTERRUPTED", None, message))
        found = ends.without_record(self._last, self._job.job_id, self._story.has_begun, last_line(self._job.place))
        return _judged({}, found)


def last_line(where: Path) -> str:
    """Return the last line that the job itself printed."""
    try:
        with open(where / job_directory.JOB_LOG, "rb") as stream:
            lines = stream.read(_TAIL_BYTES).decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:400] if lines else ""


def _judged(result: Result, problem: codes.Problem) -> Result:
    known = {"detached": False, "restarts": [], **result}
    return {**known, "problems": [problem], "exit_code": int(codes.exit_code([problem]))}
