# SPDX-License-Identifier: Apache-2.0
"""End a run in a job, and verify that it has ended. Private to the collection."""

from __future__ import annotations

import time
from typing import Callable, List, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._submit import place, slurm
from ansible_collections.madctl.multinode.plugins.module_utils._submit.watch import Job

_LOOK_SECONDS, _MOST_SECONDS = 0.2, 2.0
# The time that a job needs besides its ranks' time to end: for records, and for Slurm's own end of it.
_MORE_SECONDS = 30.0


class Ended(NamedTuple):
    """Whether the job was told anything, whether its run had begun, and what is wrong with its end."""

    changed: bool
    had_begun: bool
    problem: Optional[codes.Problem]


def is_over(job: Job) -> bool:
    """
    Return whether a job is over for good.

    Raises:
        Refused: If the controller cannot be reached.
    """
    found = slurm.look(job.job_id, job.conf)
    return found.is_final or found == slurm.FORGOTTEN


def end(job: Job, grace: float) -> Ended:
    """
    Stop a run: cancel a waiting job; send a running one the order to stop, and cancel it if it does not obey.

    Args:
        grace: How many seconds ranks have to end.

    Raises:
        Refused: If the controller cannot be reached.
    """
    begun = place.Story(job.place).has_begun
    had_ended = _has_result(job)
    if had_ended and is_over(job):
        return Ended(False, begun, None)
    was_over = not had_ended and is_over(job)
    if begun and not had_ended and not was_over:
        place.write(job.place, job_directory.ORDER, b"stop\n")
        slurm.ring(job.job_id, job.conf)
        _wait(lambda: _has_result(job) or is_over(job), grace + _MORE_SECONDS)
    if not _has_result(job) and not was_over:
        slurm.cancel(job.job_id, job.conf)
    return Ended(not was_over and not had_ended, begun, _unverified(job, begun))


def _unverified(job: Job, begun: bool) -> Optional[codes.Problem]:
    """Return why the end of a run cannot be proven: the job is not over, or it wrote no result."""
    if not _wait(lambda: is_over(job), _MORE_SECONDS):
        message = "Slurm has not ended job %s yet" % job.job_id
        return codes.problem("STOP_UNVERIFIED", None, message, "stop the run again")
    if begun and not _has_result(job):
        message = "job %s is over, but it wrote no record: Slurm alone ended the processes on its nodes" % job.job_id
        return codes.problem("STOP_UNVERIFIED", None, message, "see %s" % job.place)
    return None


def _has_result(job: Job) -> bool:
    return place.read(job.place, job_directory.RESULT) is not None


def _wait(is_reached: Callable[[], bool], seconds: float) -> bool:
    """Check, at growing intervals, whether a state is reached; this may query the scheduler."""
    deadline, pause = time.monotonic() + seconds, _LOOK_SECONDS
    while not is_reached():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(_MOST_SECONDS, pause * 1.5)
    return True


def left(ended: Ended) -> List[codes.Problem]:
    """Return the problems of an end, as a list."""
    return [ended.problem] if ended.problem else []
