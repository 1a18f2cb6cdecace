# SPDX-License-Identifier: Apache-2.0
"""What each node and rank did, and when, put together from the entries of a story in any order. Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import EXITED, LOST
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import GOING
from madctl.records.run_story import Entry
from madctl.report.facts import Facts

# How something ended, or that it has not ended, or that this is unknown.
OK, FAILED, STOPPED, OPEN, UNKNOWN = "ok", "failed", "stopped", "open", "unknown"


@dataclass(frozen=True)
class RankLife:
    """One rank in one attempt: when it joined and ended, and how."""

    rank: int
    joined: float | None
    ended: float | None
    how: str
    said: str = ""


@dataclass(frozen=True)
class Part:
    """
    One node in one attempt.

    ``stages`` are pairs of a name and the time of its end, in order; ``gaps`` are times when the node was silent.
    """

    host: str
    attempt: int
    began: float
    stages: tuple[tuple[str, float], ...]
    ended: float | None
    how: str
    said: str
    gaps: tuple[tuple[float, float], ...]
    ranks: tuple[RankLife, ...]


@dataclass(frozen=True)
class History:
    """All parts, and the times at which they begin and end; ``failed`` is the time of the first failure by attempt."""

    began: float
    ended: float
    parts: tuple[Part, ...]
    failed: Mapping[int, float]
    started: float | None

    @property
    def hosts(self) -> list[str]:
        """All nodes that took part, in the order of the parts."""
        return list(dict.fromkeys(part.host for part in self.parts))


def entries_of(facts: Facts) -> list[Entry]:
    """Return all entries by time, each once; of several copies, the most complete one."""
    found: dict[tuple[Any, ...], Entry] = {}
    for entry in facts.entries:
        known = found.get(entry.key)
        if known is None or len(known.event) < len(entry.event):
            found[entry.key] = entry
    # Among simultaneous events, an end comes last.
    return sorted(found.values(), key=lambda entry: (entry.at, entry.event["event"] == events.EXIT, repr(entry.key)))


def of(facts: Facts, entries: Sequence[Entry]) -> History | None:
    """Put together what happened; None if there are no entries."""
    if not entries:
        return None
    goes = facts.run["status"] in GOING
    last = max(entry.at for entry in entries)
    ended = facts.now if goes else max(last, min(facts.record.ended or last, facts.now))
    since = [float(entry.event["since"]) for entry in entries if "since" in entry.event]
    began = min([entries[0].at, *(at for at in since if at <= entries[0].at)])
    order = {host: place for place, host in enumerate(facts.record.targets["names"])}
    grouped: dict[tuple[int, str], list[Entry]] = {}
    for entry in entries:
        host = entry.event.get("host")
        if host is not None:
            grouped.setdefault((entry.attempt, host), []).append(entry)
    begins = _begins(entries, began)
    ends = {attempt: begins.get(attempt + 1) for attempt in begins}
    owners = _owners(facts)
    parts = [
        _part(attempt, host, own, begins.get(attempt, began), ends.get(attempt), ended if goes else None, owners)
        for (attempt, host), own in grouped.items()
        if any(entry.event["event"] != events.PROBED for entry in own) or host in order
    ]
    parts.sort(key=lambda part: (order.get(part.host, len(order)), part.host, part.attempt))
    starts = [entry.at for entry in entries if entry.event["event"] == events.STARTED]
    return History(began, max(ended, began), tuple(parts), dict(_failures(facts, entries)), min(starts, default=None))


def _begins(entries: Sequence[Entry], began: float) -> dict[int, float]:
    """Return when each attempt began."""
    found: dict[int, float] = {}
    for entry in entries:
        is_restart = entry.event["event"] == events.RESTART
        found[entry.attempt] = min(found.get(entry.attempt, entry.at), entry.at) if not is_restart else entry.at
    return {**found, min(found): began}


def _owners(facts: Facts) -> dict[str, range]:
    """Return the ranks of each node in the last plan."""
    found, first = {}, 0
    for node in facts.record.plan["nodes"]:
        count = node.get("nproc_per_node")
        if type(count) is not int or not 0 <= count <= events.MOST_RANKS:
            return {}
        found[node["host"]] = range(first, first + count)
        first += count
    return found


def _part(
    attempt: int,
    host: str,
    entries: Sequence[Entry],
    began: float,
    restarted: float | None,
    now: float | None,
    owners: Mapping[str, range],
) -> Part:
    first: dict[str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.event["event"], entry)
    exit_, lost = first.get(events.EXIT), first.get(events.LOST)
    over = min([entry.at for entry in (exit_, lost) if entry] or [restarted or now or entries[-1].at])
    how, said = _node_end(exit_, lost, is_open=now is not None and restarted is None)
    lives = tuple(_lives(entries, over, how))
    stages = [(name, first[kind].at) for name, kind in _STAGES if kind in first]
    if "arm" not in dict(stages) and events.ARMED in first:
        stages = sorted([*stages, ("arm", first[events.ARMED].at)], key=lambda one: one[1])
    joins = [life.joined for life in lives if life.joined is not None]
    if joins and len(joins) >= len(owners.get(host, ())):
        stages.append(("ranks", max(joins)))
    gaps = tuple(_gaps(entries, over))
    return Part(host, attempt, min(began, entries[0].at), tuple(stages), over, how, said, gaps, lives)


_STAGES = (("probe", events.PROBED), ("arm", events.READY), ("go", events.STARTED))


def _node_end(exit_: Entry | None, lost: Entry | None, is_open: bool) -> tuple[str, str]:
    if exit_ is None:
        if lost is not None:
            return LOST, str(lost.event.get("message") or LOST)
        return (OPEN, "running") if is_open else (UNKNOWN, "how it ended is not known")
    event = exit_.event
    if event.get("outcome") != EXITED:
        return FAILED, str(event.get("outcome")).replace("_", " ")
    if event.get("stopped"):
        return STOPPED, "was stopped"
    said = ended(event)
    return (OK, said) if event.get("exit_code") == 0 else (FAILED, said)


def ended(event: Mapping[str, Any]) -> str:
    """Write how a process ended."""
    if event.get("signal"):
        return f"signal {event['signal']}{', out of memory' if event.get('oom') else ''}"
    return "end unknown" if event.get("exit_code") is None else f"exit code {event['exit_code']}"


def _lives(entries: Sequence[Entry], over: float, how: str) -> Iterator[RankLife]:
    joined: dict[int, float] = {}
    ends: dict[int, Entry] = {}
    for entry in entries:
        rank = entry.event.get("rank")
        if rank is None:
            continue
        if entry.event["event"] == events.JOINED:
            joined.setdefault(rank, entry.at)
        elif entry.event["event"] in (events.RANK_EXIT, events.EXEC_FAILED):
            ends.setdefault(rank, entry)
    for rank in sorted({*joined, *ends}):
        end = ends.get(rank)
        if end is None:
            # Ranks that end because they were stopped are not reported.
            told = {OK: STOPPED, FAILED: STOPPED}.get(how, how)
            yield RankLife(rank, joined.get(rank), None if how == UNKNOWN else over, told)
        else:
            yield RankLife(rank, joined.get(rank), end.at, rank_end(end.event), _rank_said(end.event))


def rank_end(event: Mapping[str, Any]) -> str:
    """Return how a rank ended."""
    if event["event"] == events.EXEC_FAILED:
        return FAILED
    if event.get("exit_code") == 0 and not event.get("signal"):
        return OK
    # This is how a launcher ends its other ranks when one has failed.
    return STOPPED if event.get("stopping") or event.get("signal") == signal.SIGTERM else FAILED


def _rank_said(event: Mapping[str, Any]) -> str:
    return "could not be started" if event["event"] == events.EXEC_FAILED else ended(event)


def _gaps(entries: Iterable[Entry], over: float) -> Iterator[tuple[float, float]]:
    since: float | None = None
    for entry in entries:
        kind = entry.event["event"]
        if kind == events.SUSPECT and since is None:
            since = entry.at
        elif kind in (events.BACK, events.LOST) and since is not None:
            yield since, entry.at
            since = None
    if since is not None:
        yield since, max(since, over)


def _failures(facts: Facts, entries: Sequence[Entry]) -> Iterator[tuple[int, float]]:
    """Yield the time of the first failure by attempt: the one named as its cause, otherwise the earliest."""
    causes: dict[int, tuple[Any, Any]] = {facts.record.attempts: (facts.host, facts.rank)}
    for entry in entries:
        after = entry.event.get("after")
        if after:
            causes[entry.attempt - 1] = (after.get("host"), after.get("rank"))
    for attempt, (host, rank) in causes.items():
        if attempt == facts.record.attempts and facts.run["status"] not in ("failed", *GOING):
            continue
        there = [entry for entry in entries if entry.attempt == attempt]
        own = [entry for entry in there if _is_failure(entry.event)]
        named = [one for one in own if one.event.get("host") == host and rank in (None, one.event.get("rank"))]
        named = named or [one for one in there if rank is not None and _is_end_of(one.event, host, rank)]
        if named or own:
            yield attempt, (named or own)[0].at


def _is_end_of(event: Mapping[str, Any], host: str | None, rank: int) -> bool:
    return (event["event"], event.get("host"), event.get("rank")) == (events.RANK_EXIT, host, rank)


def _is_failure(event: Mapping[str, Any]) -> bool:
    kind = event["event"]
    if kind in (events.EXEC_FAILED, events.START_FAILED, events.LOST):
        return True
    if kind == events.RANK_EXIT:
        return rank_end(event) == FAILED
    return kind == events.RUNNER_EXIT and bool(event.get("exit_code") or event.get("signal"))
