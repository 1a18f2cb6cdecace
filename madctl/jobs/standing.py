# SPDX-License-Identifier: Apache-2.0
"""The state of a run in a job, from its directory, and from the scheduler if the directory does not tell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    fields,
    listed,
    mapped,
    maybe,
    one_of,
    second,
    text,
    truth,
    whole,
)
from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import Verdict
from madctl.errors import Problem, RunError
from madctl.jobs import attempts, ends, place, slurm

# Without a heartbeat for this long, ask the scheduler; also if the clocks of the two machines differ by that much.
_SILENT_SECONDS = 3 * job_directory.BEAT_SECONDS
_STOPPED = ("RUN_STOPPED", "INTERRUPTED")
_MANY, _RANKS = 1 << 17, 1 << 17
# The user and the job itself can both write to the job's directory, so its files are validated.
_exit = fields(
    {"outcome": text(64), "stopped": truth},
    {"exit_code": maybe(whole(-1024, 1 << 16)), "signal": maybe(whole(0, 128)), "reason": maybe(text(64))},
)
_node = fields(
    {
        "state": one_of("armed", "running", "stopping", "exited", "lost"),
        "exit": maybe(_exit),
        "joined": whole(0, _RANKS),
    }
)
_STATE = fields({"time": second, "stage": text(64)}, {"began": maybe(second), "nodes": mapped(_node, _MANY)})
_PLAN = fields({"shape": text(64)}, {"runner": maybe(text(64))})
_problem = fields(
    {"code": text(64), "host": maybe(text()), "message": text(1 << 14), "remedy": maybe(text(1 << 14))},
    {"rank": maybe(whole(0, _RANKS)), "error": maybe(text(1 << 14))},
)
_RESULT = fields(
    {"problems": listed(_problem, _MANY), "exit_code": whole(0, 255)},
    {"ended": second, "error": maybe(text()), "by_scheduler": truth},
)


class Standing(NamedTuple):
    """
    The state of a run; each of its nodes by host; its plan, once there is one; why the scheduler did not answer.

    All of this is about the latest attempt; ``earlier`` describes how the attempts ended that Slurm requeued.
    """

    verdict: Verdict
    nodes: Mapping[str, dict[str, Any]]
    plan: dict[str, Any] | None
    unknown: Problem | None = None
    earlier: Sequence[dict[str, Any]] = ()


def of(job: Mapping[str, Any], seconds: float = slurm.SECONDS) -> Standing:
    """
    Determine the state of a run.

    Args:
        job: ``id``, ``place`` and ``conf`` of its job.
        seconds: How long the scheduler may take to answer, if it has to be asked.
    """
    number = attempts.last(Path(job["place"]))
    where, earlier = attempts.where(Path(job["place"]), number), [_earlier(job, each) for each in range(number)]
    # Read the result first: everything read afterwards is at least as recent.
    result = place.read(where, job_directory.RESULT)
    state = place.read(where, job_directory.STATE)
    state = state if state is not None and _STATE(state) else {}
    plan = place.planned(where)
    plan = plan if _PLAN(plan) else None
    nodes = {
        host: {"container": None, "storage": None, "processes": None, **node}
        for host, node in state.get("nodes", {}).items()
    }
    counts = plan is not None and runners.job_of(plan["shape"], plan.get("runner")).counts_ranks
    joined = sum(node["joined"] for node in nodes.values()) if counts else None
    known = Verdict(verdict.UNKNOWN, began=state.get("began"), joined=joined)
    try:
        if result is not None and _RESULT(result):
            found, is_requeued = _ended(known, result, job, seconds)
        else:
            found, is_requeued = _unended(known, where, job, state, seconds)
    except RunError as error:
        unknown = error.problems[0]
        return Standing(known._replace(cause=unknown.message), nodes, plan, unknown, earlier)
    if is_requeued:
        return Standing(found, {}, plan, None, [*earlier, _earlier(job, number)])
    return Standing(found, nodes, plan, None, earlier)


def _earlier(job: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Describe an attempt other than the last one."""
    result = place.read(attempts.where(Path(job["place"]), number), job_directory.RESULT)
    result = result if result is not None and _RESULT(result) else {}
    first = next(iter(result.get("problems", ())), None)
    # The reason why Slurm ended it is not kept anywhere.
    cause = "requeued by Slurm" if first is None or result.get("by_scheduler") else codes.cause(first)
    return {"attempt": number + 1, "ended": result.get("ended"), "cause": cause}


def _ended(known: Verdict, result: Mapping[str, Any], job: Mapping[str, Any], seconds: float) -> tuple[Verdict, bool]:
    """Judge a run by its result, and by the scheduler if that ended the run, or requeued it."""
    cause = None
    if result.get("by_scheduler"):
        state = slurm.look(job["id"], job.get("conf", ""), seconds)
        if state.state in slurm.WAITING:
            return _queued(known, state), True
        if not state.is_final and state != slurm.FORGOTTEN:
            return known._replace(status=verdict.RUNNING), False  # It is about to end, or to be requeued.
        attempts.forget_request(Path(job["place"]))
        cause = ends.meaning(state)
    known = known._replace(ended=result.get("ended"))
    if cause:
        return _failed(known, vars(cause)), False
    if result["problems"]:
        first = result["problems"][0]
        return _failed(known, {**first, "error": first.get("error") or result.get("error")}), False
    return known._replace(status=verdict.SUCCEEDED, exit_code=0), False


def _queued(known: Verdict, state: slurm.State) -> Verdict:
    at = ends.estimate(state, time.time())
    cause = ", ".join([*filter(None, [state.reason]), *([f"may start at {at}"] if at else [])])
    return known._replace(status=verdict.QUEUED, cause=cause or None, joined=None, began=None)


def _failed(known: Verdict, first: Mapping[str, Any]) -> Verdict:
    code = int(codes.exit_code_of([first["code"]]))
    if first["code"] in _STOPPED:
        return known._replace(status=verdict.STOPPED, exit_code=code)
    error = next((line.strip() for line in reversed((first.get("error") or "").split("\n")) if line.strip()), None)
    where = {"host": first["host"], "rank": first.get("rank"), "error": error}
    return known._replace(status=verdict.FAILED, cause=codes.cause(first), exit_code=code, **where)


def _unended(
    known: Verdict, where: Path, job: Mapping[str, Any], state: Mapping[str, Any], seconds: float
) -> tuple[Verdict, bool]:
    """Judge an attempt without a result; ask the scheduler if the job has no recent heartbeat."""
    has_begun = place.Story(where).has_begun
    if has_begun and abs(time.time() - state.get("time", 0.0)) < _SILENT_SECONDS:
        return known._replace(status=verdict.RUNNING), False
    found = slurm.look(job["id"], job.get("conf", ""), seconds)
    if found.is_final or found == slurm.FORGOTTEN:
        attempts.forget_request(Path(job["place"]))
        return _failed(known, vars(ends.without_record(found, job["id"], has_begun, ""))), False
    if found.state in slurm.WAITING:
        return _queued(known, found), has_begun
    if found.state == slurm.SUSPENDED:
        return known._replace(status=verdict.SUSPENDED), False
    return known._replace(status=verdict.RUNNING if has_begun else verdict.QUEUED), False
