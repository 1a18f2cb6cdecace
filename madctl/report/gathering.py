# SPDX-License-Identifier: Apache-2.0
"""Gather everything known about a run, from its record, its story, its nodes or its job, and the ends of its logs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen, narrowed
from madctl.errors import MadctlError, Problem, RunError, of_signal
from madctl.playbook import ask, schedulers
from madctl.playbook.session import RunSession
from madctl.records import record_store, run_story, verdicts
from madctl.records.run_record import Record
from madctl.records.run_story import Collector, Entry
from madctl.report.ear import MOST_LINES, Ear
from madctl.report.facts import Facts, Log
from madctl.screen.log_view import Form

# Of all logs together; each gets an equal share, but at least as many lines as a person needs.
_LINES, _LEAST_LINES = 20_000, 40


@dataclass(frozen=True)
class _State:
    """The facts that are gathered before the logs are read."""

    record: Record
    judged: Any
    nodes: Mapping[str, Mapping[str, Any]]
    missing: Sequence[Problem] = ()
    earlier: Sequence[Mapping[str, Any]] = ()


def gather(record: Record, silent: Sequence[str] = ()) -> Facts:
    """
    Gather everything known about a run; whatever is unavailable is listed as missing.

    Args:
        silent: Nodes that just failed to answer, and are not asked again.

    Raises:
        RunError: If the user interrupted this.
    """
    before, now = record, time.time()
    found = _in_job(record) if record.job else _on_nodes(record, silent)
    record = found.record
    if found.nodes and not found.missing:
        updated = verdicts.updated(record, found.judged, now)
        # If it cannot be written, nodes are asked again next time.
        record = record_store.update(updated)[0] if updated != before else updated
    entries, logs, unread = _output(replace(found, record=record))
    about = verdicts.described(record, found.judged, now)
    told = [*run_story.read(record.run_id), *entries]
    missing = [*found.missing, *(one for one in unread if one not in found.missing)]
    where = found.judged.host, found.judged.rank
    return Facts(record, about, now, *where, found.nodes, told, logs, missing, found.earlier)


def _on_nodes(record: Record, silent: Sequence[str]) -> _State:
    gone = ask.missing_inventory(record)
    if gone:
        return _State(record, verdicts.remembered(record), {}, [gone])
    asked = _without(record, silent)
    if not asked.plan["nodes"]:
        return _State(record, verdicts.remembered(record), {}, list(map(_silent, silent)))
    try:
        found = ask.nodes("status", asked.reach(), {"madctl_plan": asked.plan})
    except RunError as error:
        return _State(record, verdicts.remembered(record), {}, error.problems)
    judged = verdicts.judged(record, found["nodes"])
    return _State(record, judged, found["nodes"], [*found["problems"], *map(_silent, silent)])


def _without(record: Record, hosts: Sequence[str]) -> Record:
    """Return the record without some of its nodes."""
    if not hosts:
        return record
    names = [name for name in record.targets["names"] if name not in hosts]
    nodes = [node for node in record.plan["nodes"] if node["host"] in names]
    return replace(record, plan={**record.plan, "nodes": nodes}, targets={**record.targets, "names": names})


def _silent(host: str) -> Problem:
    return Problem("NODE_SILENT", "it did not answer", host)


def _in_job(record: Record) -> _State:
    try:
        stands, record = schedulers.verbs(record).stands(record)
    except MadctlError as error:
        return _State(record, verdicts.remembered(record), {}, error.problems)
    judged = verdicts.joined_with(record, stands.verdict)
    return _State(record, judged, stands.nodes, [stands.unknown] if stands.unknown else [], stands.earlier)


# -- output ----------------------------------------------------------------------------------------


def _output(found: _State) -> tuple[list[Entry], list[Log], list[Problem]]:
    """Read events and the ends of all logs, with more lines of the rank that failed first."""
    record, judged = found.record, found.judged
    if not record.plan["nodes"] or not record.job and not found.nodes:
        return [], [], []
    lines = share(record.plan)
    hosts = () if record.job else tuple(found.nodes)
    entries, logs, missing = _read(record, Chosen(hosts=hosts), lines)
    if lines < MOST_LINES and judged.host in (hosts or record.targets["names"]) and judged.rank is not None:
        more = _read(record, Chosen(hosts=(judged.host,), ranks=((judged.rank, judged.rank),)), MOST_LINES)[1]
        own = {(log.host, log.rank, log.stream): log for log in more}
        logs = [own.get((log.host, log.rank, log.stream), log) for log in logs]
    return entries, logs, missing


def share(plan: Mapping[str, Any]) -> int:
    """Return how many lines of each log to read."""
    logs = 2 * (max(0, int(plan.get("world_size") or 0)) + len(plan["nodes"]))
    return max(_LEAST_LINES, min(MOST_LINES, _LINES // max(1, logs)))


def _read(record: Record, chosen: Chosen, lines: int) -> tuple[list[Entry], list[Log], list[Problem]]:
    whole: Any = record.plan
    plan: Any = narrowed(chosen, whole)
    ear, collector = Ear(record.targets["names"], plan), Collector(record.plan, 1 if record.job else record.attempts)
    make: Callable[..., Any] = _of_job if record.job else _of_nodes
    try:
        session = make(record, plan, ear, chosen, lines)
    except MadctlError as error:
        return [], [], list(error.problems)
    session.view, session.keeper = ear, collector
    session.playbook, session.only_reads = "logs", True
    session.run()
    ear.close()
    if session.interrupted:
        raise RunError(of_signal(session.signal), Problem("INTERRUPTED", "interrupted; no report was written"))
    missing = list(ear.errors)
    if session.final is None:
        missing.append(Problem("INTERNAL", f"the logs could not be read: {session.failure or 'no result'}"))
    return collector.entries, ear.logs(), missing


def _of_nodes(record: Record, plan: Any, ear: Ear, chosen: Chosen, lines: int) -> RunSession:
    ear.attached(plan)
    ranks = [f"{first}-{last}" for first, last in chosen.ranks]
    wanted = {"madctl_plan": plan, "madctl_follow": False, "madctl_lines": lines, "madctl_show_ranks": ranks}
    return RunSession(record.reach(), {**wanted, "madctl_since": None}, ear, record)


def _of_job(record: Record, plan: Any, ear: Ear, chosen: Chosen, lines: int) -> Any:
    del plan, ear
    options = argparse.Namespace(follow=False, since=None, lines=lines, attempt=None)
    return schedulers.verbs(record).reader(record, options, Form(), chosen)
