# SPDX-License-Identifier: Apache-2.0
"""
Determine the state of a whole run, or how it ended, from the files on its nodes. Pure; private to the collection.

A follower judges a run by its events as they come, in ``run_outcome``; this module judges it afterwards.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import EXITED, Reason
from ansible_collections.madctl.multinode.plugins.module_utils._follow import run_outcome
from ansible_collections.madctl.multinode.plugins.module_utils._follow.node_run import NodeRun

RUNNING, SUCCEEDED, FAILED, STOPPED, UNKNOWN = "running", "succeeded", "failed", "stopped", "unknown"
# In a scheduler job that has not begun, or that is suspended.
QUEUED, SUSPENDED = "queued", "suspended"
GOING = (QUEUED, RUNNING, SUSPENDED)
_ALIVE = ("armed", "running", "stopping")
_WHY = {
    Reason.TIMED_OUT: "it did not end in time",
    Reason.IDLE: "no rank printed anything for too long",
    Reason.LATE: "ranks did not join in time",
}


class Verdict(NamedTuple):
    """
    The state of a run.

    ``cause`` is what failed first, or why nothing else is known; ``error`` the line of its output that names the error.
    ``began`` and ``ended`` are seconds since the epoch. ``host`` and ``rank`` are those of the first failure.
    """

    status: str
    cause: Optional[str] = None
    error: Optional[str] = None
    began: Optional[float] = None
    ended: Optional[float] = None
    exit_code: Optional[int] = None
    host: Optional[str] = None
    rank: Optional[int] = None
    joined: Optional[int] = None


class _Failure(NamedTuple):
    at: float
    problem: Problem
    error: Optional[str] = None


def of_nodes(plan: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]], cause: Optional[str] = None) -> Verdict:
    """
    Judge a run.

    Args:
        plan: Its ``nodes`` in rank order, each with ``host`` and perhaps ``clock_offset``; ``shape``, ``world_size``.
        nodes: What each node answered, by host; nodes that did not answer are missing.
        cause: The first failure that a follower saw. It decides between failures that clocks cannot put in order.
    """
    answers = [(node, nodes[node["host"]]) for node in plan["nodes"] if node["host"] in nodes]
    offsets = {node["host"]: _offset(node, answer) for node, answer in answers}
    failures = [found for node, answer in answers for found in _failures(plan, node, answer, offsets[node["host"]])]
    first = min(failures, key=lambda one: (not _is_cause(one, cause), one.at), default=None)
    began = [answer["began"] - offsets[node["host"]] for node, answer in answers if answer.get("began") is not None]
    verdict = Verdict(UNKNOWN, began=min(began, default=None), joined=_joined(plan, answers))
    if first:
        host, rank = first.problem["host"], first.problem.get("rank")
        verdict = verdict._replace(cause=codes.cause(first.problem), error=first.error, host=host, rank=rank)
    states = [answer["state"] for _, answer in answers]
    if any(state in _ALIVE for state in states):
        return verdict._replace(status=RUNNING)
    ends = [answer["exit"].get("time", 0.0) - offsets[node["host"]] for node, answer in answers if answer["exit"]]
    verdict = verdict._replace(ended=max(ends, default=0.0) or None)
    told = [_stop(answer, offsets[node["host"]]) for node, answer in answers]
    stops = [at for at in told if at is not None]
    if stops and (first is None or first.at >= min(stops)):
        return verdict._replace(status=STOPPED, cause=None, error=None, exit_code=int(ExitCode.INTERRUPTED))
    if first:
        return verdict._replace(status=FAILED, exit_code=int(codes.exit_code([first.problem])))
    if len(answers) < len(plan["nodes"]) or not all(answer["exit"] for _, answer in answers):
        return verdict._replace(cause=_missing(plan, nodes))
    return _whole(plan, answers, verdict)


def _is_cause(failure: _Failure, cause: Optional[str]) -> bool:
    return bool(cause) and str(cause).startswith(codes.cause(failure.problem))


def of_parts(parts: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """
    Judge a run that only its nodes know.

    Args:
        parts: What each queried node has of it, by host, with what its directory says about the whole run.
    """
    said = [part["described"] for part in parts.values() if part["described"]]
    plan: Dict[str, Any] = {"run_id": next(iter(parts.values()))["run_id"]}
    if not said:
        found = of_nodes({**plan, "shape": "", "world_size": 0, "nodes": [{"host": host} for host in parts]}, parts)
        text = "it may have other nodes"
        return found._replace(status=UNKNOWN, cause=text, exit_code=None) if found.status == SUCCEEDED else found
    # A node may have been queried by another name than at the launch.
    asked = {part["described"]["node_rank"]: host for host, part in parts.items() if part["described"]}
    names = [asked.get(rank, host) for rank, host in enumerate(said[0]["hosts"])]
    nodes = [{"host": name, "node_rank": rank} for rank, name in enumerate(names)]
    return of_nodes({**plan, **said[0]["plan"], "nodes": nodes}, parts)


def shown(found: Verdict, began: Optional[float], now: float) -> Dict[str, Any]:
    """Return a verdict in the form in which commands and playbooks print it."""
    until = now if found.status in GOING else found.ended
    return {
        "status": found.status,
        "cause": ": ".join(part for part in (found.cause, found.error) if part) or None,
        "exit_code": found.exit_code,
        "ended": found.ended,
        "duration_seconds": None if until is None or began is None else round(max(0.0, until - began), 3),
        "ranks_joined": found.joined,
    }


def _offset(node: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    """Return by how much a node's clock is ahead: as measured at the start, otherwise judging by its answer."""
    known = node.get("clock_offset")
    return float(known if known is not None else answer.get("clock_offset") or 0.0)


def _failures(
    plan: Mapping[str, Any], node: Mapping[str, Any], answer: Mapping[str, Any], offset: float
) -> List[_Failure]:
    """Return how a node's part failed, with the time; nothing if it was only told to end."""
    host, record, event = node["host"], answer["exit"], answer.get("failure")
    run = NodeRun(host, node.get("node_rank") or 0)
    if event and event["event"] in events.FAILING:
        whole: Any = {"runner": None, "world_size": 0, **plan}
        at = event.get("time", 0.0) - offset
        found, lag = run_outcome.failure(run, [run], whole, event, at)
        if not found and run.rank_failures and (record or {}).get("exit_code"):
            found = run.rank_failures[0][1]  # of a model that has failed
        if found:
            error = _last_line(event.get("error")) or answer.get("error")
            return [_Failure(at + lag, found, error)]
    if record is None:
        return [_Failure(float("inf"), lost, None) for lost in _lost(host, answer["state"])]
    at = record.get("time", float("inf")) - offset
    end: Optional[Problem] = _of_record(run, plan, record)
    return [_Failure(at, end, answer.get("error"))] if end else []


def _of_record(run: NodeRun, plan: Mapping[str, Any], record: Mapping[str, Any]) -> Optional[Problem]:
    said: Dict[str, Any] = {"signal": None, **record}
    if said["outcome"] == EXITED and said["exit_code"] is None and not said["signal"] and not said["stopped"]:
        return problem("NODE_LOST", run.host, "how its part of the run ended is not known")
    if said.get("left_behind"):
        return problem("LEFT_BEHIND", run.host, "left behind: %s" % ", ".join(said["left_behind"][:8]))
    if said["stopped"] and said.get("reason") in _WHY:
        return problem("TIMED_OUT", None, _WHY[said["reason"]])
    whole: Any = {"runner": None, **plan}
    return run_outcome.exit_failure(run, whole, said, is_stopping=False)


def _lost(host: str, state: str) -> List[Problem]:
    texts = {"lost": ("SUPERVISOR_LOST", "its supervisor was killed"), "rebooted": ("NODE_REBOOTED", "it rebooted")}
    return [problem(code, host, text) for code, text in [texts[state]]] if state in texts else []


def _last_line(text: Optional[str]) -> Optional[str]:
    lines = (text or "").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), None)


def _stop(answer: Mapping[str, Any], offset: float) -> Optional[float]:
    """Return when a node's user told it to stop; minus infinity if unknown."""
    record = answer["exit"]
    if not record or not record["stopped"] or (record.get("reason") or Reason.STOPPED) != Reason.STOPPED:
        return None
    at = answer.get("told_to_stop")
    return float("-inf") if at is None else at - offset


def _joined(plan: Mapping[str, Any], answers: Sequence[Tuple[Any, Mapping[str, Any]]]) -> Optional[int]:
    """Count the ranks that joined; None if that is not counted, or not all nodes report it."""
    if not runners.job_of(plan["shape"], plan.get("runner")).counts_ranks or len(answers) < len(plan["nodes"]):
        return None
    counts = [(answer["exit"] or {}).get("ranks_joined", answer.get("joined")) for _, answer in answers]
    known = [number for number in counts if number is not None]
    return sum(known) if len(known) == len(counts) else None


def _missing(plan: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """Explain why it is not known how a run ended."""
    silent = [node["host"] for node in plan["nodes"] if node["host"] not in nodes]
    if silent:
        return plain("no answer from %s" % _some(silent))
    empty = [node["host"] for node in plan["nodes"] if not nodes[node["host"]]["exit"]]
    return plain("nothing is left of it on %s" % _some(empty))


def _some(hosts: Sequence[str]) -> str:
    return ", ".join(hosts[:4]) + (" and %d more" % (len(hosts) - 4) if len(hosts) > 4 else "")


def _whole(plan: Mapping[str, Any], answers: Sequence[Tuple[Any, Mapping[str, Any]]], verdict: Verdict) -> Verdict:
    """Judge a run that has ended according to all nodes and failed according to none: success needs proof."""
    records = [answer["exit"] for _, answer in answers]
    counts = runners.job_of(plan["shape"], plan.get("runner")).counts_ranks
    failed = verdict._replace(status=FAILED, exit_code=int(ExitCode.JOB_FAILED))
    if any(record["stopped"] for record in records):
        return failed._replace(cause="another node failed")
    size = plan["world_size"]
    if counts and sum(len(record.get("apart", ())) for record in records) >= max(size, 2):
        return failed._replace(cause="every rank made a world of its own")
    known = [record["ranks_joined"] for record in records if "ranks_joined" in record]
    if counts and len(known) == len(records) and sum(known) < size:
        return failed._replace(cause="%d of %d ranks joined" % (sum(known), size))
    # A job can overwrite a record.
    proof = {"left_behind", "trouble", *(("ranks_joined", "apart") if counts else ())}
    if not all(proof <= set(record) for record in records):
        return verdict._replace(cause="the records of its nodes are incomplete")
    return verdict._replace(status=SUCCEEDED, exit_code=int(ExitCode.SUCCEEDED))
