# SPDX-License-Identifier: Apache-2.0
"""What the end of a job means for its run, where the run itself could not tell. Pure."""

from __future__ import annotations

from datetime import datetime

from madctl.errors import Problem
from madctl.jobs.slurm import FORGOTTEN, State

# Slurm's own estimates are a year off when a job without a limit is in the way.
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


def meaning(state: State) -> Problem | None:
    """Return what a final state says about the run; None where it is only a consequence of how the run ended."""
    found = _MEANINGS.get(state.state)
    if found is None:
        return None
    code, message, remedy = found
    reason = f" ({state.reason})" if state.reason and state.reason not in ("None", "NonZeroExitCode") else ""
    return Problem(code, message + reason, remedy=remedy)


def waiting(state: State, now: float) -> str:
    """Return what a job waits for, in a few words, and when it may start."""
    word = state.state.lower().replace("_", " ")
    at = estimate(state, now)
    may = f", may start at {at}" if at and state.state == "PENDING" else ""
    return (f"{word}: {state.reason}" if state.reason else word) + may


def estimate(state: State, now: float) -> str | None:
    """Return when a job may start; None where that is not known, or so late that it is only a guess."""
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
    Return why a run ended that wrote no result.

    Args:
        has_begun: Whether it wrote anything.
        last_line: The last line of the job's own output.
    """
    found = meaning(state)
    if found:
        return found
    if has_begun:
        message = f"madctl's own program on the first node of job {job_id} was ended, and with it the run"
        return Problem("SUPERVISOR_LOST", message, remedy="see job.log in the run directory")
    # Slurm says so of a script that a signal ended, too.
    if state.reason == "JobLaunchFailure":
        message = f"job {job_id} could not be started, probably because its first node does not see the run directory"
        return Problem("NODE_NOT_READY", message, remedy="choose one on shared storage: --run-root PATH")
    if state == FORGOTTEN and not last_line:
        message = f"job {job_id} has written nothing, and Slurm does not know it any more"
        return Problem("NODE_NOT_READY", message, remedy="launch it again")
    known = "Slurm has forgotten it" if state == FORGOTTEN else f"Slurm says {state.state} {state.reason}".rstrip()
    said = f": {last_line}" if last_line else ""
    return Problem("NODE_NOT_READY", f"job {job_id} ended without a record, {known}{said}", remedy="see job.log")
