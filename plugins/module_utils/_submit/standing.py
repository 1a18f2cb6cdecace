# SPDX-License-Identifier: Apache-2.0
"""
The state of a run in a job, from its directory, and from the scheduler if the directory has no recent state.

Private to the collection.
"""

from __future__ import annotations

import time
from typing import Any, Dict, Mapping, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._submit import ends, place, slurm
from ansible_collections.madctl.multinode.plugins.module_utils._submit.watch import Job, last_line

# Without a heartbeat for this long, the scheduler is queried; the clocks of the two machines may differ.
_SILENT_SECONDS = 60.0
_STOPPED = ("RUN_STOPPED", "INTERRUPTED")
# What only a node itself knows.
_UNSEEN = dict.fromkeys(("container", "storage", "processes"))

Standing = Dict[str, Any]


def of(job: Job) -> Standing:
    """
    Determine the state of a run.

    Returns:
        ``status``, ``exit_code``, ``cause``, ``error``, ``host`` and ``rank`` of its first failure, ``began`` and
        ``ended``; ``nodes`` by host, ``plan`` once there is one.

    Raises:
        Refused: If the scheduler has to be queried and cannot be reached.
    """
    # The result first: everything that is read later is at least as recent.
    result = place.read(job.place, job_directory.RESULT)
    state = place.read(job.place, job_directory.STATE) or {}
    nothing = dict.fromkeys(("exit_code", "cause", "error", "host", "rank", "ended"))
    known = {
        **nothing,
        "began": state.get("began"),
        "nodes": {host: {**_UNSEEN, **node} for host, node in (state.get("nodes") or {}).items()},
        "plan": place.planned(job.place),
    }
    found = _ended(job, result) if result is not None else _unended(job, state)
    return {**known, **found}


def _ended(job: Job, result: Mapping[str, Any]) -> Standing:
    problems = result.get("problems") or []
    cause = ends.meaning(slurm.look(job.job_id, job.conf)) if result.get("by_scheduler") else None
    ended = {"ended": result.get("ended")}
    if cause or problems:
        first = cause or {**problems[0], "error": problems[0].get("error") or result.get("error")}
        return {**_failed(first), **ended}
    return {"status": "succeeded", "exit_code": 0, **ended}


def _failed(first: Mapping[str, Any]) -> Standing:
    code = int(codes.exit_code_of([first["code"]]))
    if first["code"] in _STOPPED:
        return {"status": "stopped", "exit_code": code}
    lines = [line.strip() for line in (first.get("error") or "").split("\n") if line.strip()]
    where = {"host": first["host"], "rank": first.get("rank"), "error": lines[-1] if lines else None}
    return {"status": "failed", "exit_code": code, "cause": codes.cause(first), **where}


def _unended(job: Job, state: Mapping[str, Any]) -> Standing:
    """Judge a run without a result; query the scheduler if the job itself is silent."""
    has_begun = place.Story(job.place).has_begun
    if has_begun and abs(time.time() - _seconds(state.get("time"))) < _SILENT_SECONDS:
        return {"status": "running"}
    found = slurm.look(job.job_id, job.conf)
    if found.is_final or found == slurm.FORGOTTEN:
        return _failed(ends.without_record(found, job.job_id, has_begun, last_line(job.place)))
    return {"status": "running"} if has_begun else {"status": "queued", "cause": found.reason or None}


def _seconds(value: Optional[Any]) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
