# SPDX-License-Identifier: Apache-2.0
"""What the end of a job means for its run, if the run itself could not report it. Pure; private to the collection."""

from __future__ import annotations

from datetime import datetime
from typing import Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._submit.slurm import FORGOTTEN, State

# Slurm's own estimates are a year off if a job without a time limit is ahead.
_MOST_SECONDS = 30 * 86400.0
_LIMIT = "ask for more with --time, or end the job earlier with --timeout"
_MEANINGS = {
    "TIMEOUT": ("TIMED_OUT", "the time limit of the job was reached", _LIMIT),
    "DEADLINE": ("NODE_NOT_READY", "the deadline of the job passed before it could end", None),
    "PREEMPTED": ("RUN_PREEMPTED", "the job was preempted by another", "submit it again"),
    "NODE_FAIL": ("NODE_LOST", "a node of the job failed", "submit it again"),
    "BOOT_FAIL": ("NODE_NOT_READY", "a node of the job did not boot", "submit it again"),
    "OUT_OF_MEMORY": ("RANK_FAILED", "the job ran out of memory", "ask for more memory: --sbatch-args --mem=…"),
    "CANCELLED": ("RUN_STOPPED", "the job was cancelled in Slurm", None),
}


def meaning(state: State) -> Optional[Problem]:
    """Return what a final state means for the run; None if it is only a consequence of how the run ended."""
    found = _MEANINGS.get(state.state)
    if found is None:
        return None
    code, message, remedy = found
    reason = " (%s)" % state.reason if state.reason and state.reason not in ("None", "NonZeroExitCode") else ""
    return problem(code, None, message + reason, remedy)


def waiting(state: State, now: float) -> str:
    """Return what a job waits for, in a few words, and when it may start."""
    word = state.state.lower().replace("_", " ")
    at = estimate(state, now)
    may = ", may start at %s" % at if at and state.state == "PENDING" else ""
    return ("%s: %s" % (word, state.reason) if state.reason else word) + may


def estimate(state: State, now: float) -> Optional[str]:
    """Return when a job may start; None if that is unknown, or so late that it is only a guess."""
    try:
        at = datetime.fromisoformat(state.start)
        left = at.timestamp() - now
    except (ValueError, OverflowError, OSError):
        return None
    if not 0 <= left <= _MOST_SECONDS:
        return None
    return at.strftime("%H:%M" if at.date() == datetime.fromtimestamp(now).date() else "%Y-%m-%d %H:%M")


def without_record(state: State, job_id: str, has_begun: bool, last_line: str) -> Problem:
    """
    Return why a run without a result ended.

    Args:
        has_begun: Whether it wrote anything.
        last_line: The last line of the job's own output.
    """
    found = meaning(state)
    if found:
        return found
    if has_begun:
        message = "madctl's own program on the first node of job %s was killed, which ended the run" % job_id
        return problem("SUPERVISOR_LOST", None, message, "see job.log in the run directory")
    # Slurm reports this for a script that a signal ended, too; later versions only report that the script has failed.
    if state.reason == "JobLaunchFailure" or state.state == "FAILED" and not last_line:
        message = "job %s could not be started, probably because its first node does not see the run directory" % job_id
        return problem("NODE_NOT_READY", None, message, "choose one on shared storage: --run-root PATH")
    if state == FORGOTTEN and not last_line:
        message = "job %s has written nothing, and Slurm no longer knows it" % job_id
        return problem("NODE_NOT_READY", None, message, "launch it again")
    known = (
        "Slurm has forgotten it" if state == FORGOTTEN else ("Slurm says %s %s" % (state.state, state.reason)).strip()
    )
    said = ": %s" % last_line if last_line else ""
    return problem("NODE_NOT_READY", None, "job %s ended without a record, %s%s" % (job_id, known, said), "see job.log")
