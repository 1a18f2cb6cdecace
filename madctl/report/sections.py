# SPDX-License-Identifier: Apache-2.0
"""The sections of a page as plain texts and tables. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, events
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import LOST
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import GOING, SUCCEEDED, UNKNOWN
from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table, verdict_text
from ansible_collections.madctl.multinode.plugins.module_utils._show.check_table import NONE, OK
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count, fold
from madctl.errors import Problem
from madctl.records.run_story import Entry
from madctl.report.facts import Facts, Log
from madctl.report.history import History

MOST_TEXT = 4000  # characters of a user's text
MOST_NODES = 512
# About the first failure, at the top of the page.
LAST_LINES, _LEAST_LINES, _LONGEST = 14, 4, 500
_STREAMS = ("stderr", "stdout")
_NOTHING = "–"
_MOST_PRINTS = 8
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Said:
    """The last lines of a log."""

    source: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """The head of a page: a sign and a word for the state of the run, and its first failure."""

    kind: str
    sign: str
    headline: str
    cause: str
    said: Sequence[Said]


@dataclass(frozen=True)
class Table:
    """Rows below a head; a row with only one cell after the first has it span all columns."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: int = 0


_SIGNS = {SUCCEEDED: ("ok", "✓"), "failed": ("failed", "✗"), "stopped": ("stopped", "■"), UNKNOWN: ("unknown", "?")}


def verdict(facts: Facts) -> Verdict:
    """Return the head of a page."""
    run = facts.run
    goes = run["status"] in GOING
    kind, sign = _SIGNS.get(run["status"], ("going", "▶") if goes else ("stopped", "■"))
    headline = verdict_text.whole({**run, "cause": None})
    if run["status"] == UNKNOWN:
        headline = "unknown"
    said = [] if run["status"] == SUCCEEDED else _last_words(facts)
    return Verdict(kind, sign, headline[:1].upper() + headline[1:], str(run["cause"] or ""), said)


def _last_words(facts: Facts) -> list[Said]:
    """Return the last lines of whatever failed first; the more lines of its first log, the fewer of the second."""
    found, room = [], LAST_LINES
    for log in cause_logs(facts):
        lines = [line if len(line) <= _LONGEST else line[:_LONGEST] + " …" for line in log.lines[-room:]]
        found.append(Said(f"{log.source}, {log.stream}", lines))
        room = max(_LEAST_LINES, room - len(lines))
    return found


def cause_logs(facts: Facts) -> list[Log]:
    """Return the logs that say most about the first failure: stderr of its rank, then stdout."""
    rank = "" if facts.rank is None else str(facts.rank)
    own = [log for log in facts.logs if log.host == facts.host and log.rank == rank and log.stream in _STREAMS]
    return sorted((log for log in own if any(map(str.strip, log.lines))), key=lambda log: _STREAMS.index(log.stream))


def about(facts: Facts) -> list[tuple[str, str]]:
    """Return a run's properties: names and values."""
    record, run = facts.record, facts.run
    began = record.began or run["created"]
    nodes = record.targets["names"]
    found: list[tuple[str, Any]] = [
        ("run", record.run_id),
        ("name", record.name),
        ("note", record.note),
        ("work", cut(str(run["work"]))),
        ("began", clock(began)),
        ("ended", clock(run["ended"]) if run["ended"] else None),
        ("took", verdict_text.took(run) if run["duration_seconds"] is not None else None),
        ("exit code", run["exit_code"]),
        ("attempts", run["attempts"] if run["attempts"] > 1 else None),
        ("nodes", f"{len(nodes)}: {fold(nodes)}" if nodes else None),
        ("ranks", record.plan["world_size"] or None),
        ("runner", _runner(record.plan)),
        ("master", _master(record.plan)),
        ("job", _job(record.shown_job)),
        ("code", code(getattr(record, "code", None))),
    ]
    return [(name, str(value)) for name, value in found if value not in (None, "")]


def cut(text: str) -> str:
    """Cut a text that is too long for a page."""
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + " …"


def clock(at: float | None) -> str:
    """Write a time in the time zone of this machine."""
    return _NOTHING if at is None else time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at))


def _runner(plan: Mapping[str, Any]) -> str | None:
    return str(plan["runner"]) if plan.get("runner") else None


def _master(plan: Mapping[str, Any]) -> str | None:
    return f"{plan['master_addr']}:{plan['master_port']}" if plan.get("master_addr") else None


def _job(job: Mapping[str, Any]) -> str | None:
    if not job:
        return None
    where = f" in namespace {job['namespace']}" if job.get("namespace") else ""
    login = f", submitted on {job['login']}" if job.get("login") else ""
    return f"{job.get('id') or 'not submitted'}{where}{login}"


def code(found: Any) -> str | None:
    """Write which commit was sent to the nodes, and whether it had changes; None if that is unknown."""
    if not isinstance(found, Mapping):
        return None
    named = {name: found.get(name) for name in ("commit", "branch", "dir", "tree")}
    texts = {name: value for name, value in named.items() if isinstance(value, str) and value}
    parts = [texts.get("commit", "")[:12], f"on {texts['branch']}" if "branch" in texts else ""]
    parts.append("with changes that are not committed" if found.get("dirty") is True else "")
    parts.append(f"from {texts['dir']}" if "dir" in texts else "")
    return " ".join(part for part in parts if part) or texts.get("tree")


# -- nodes -----------------------------------------------------------------------------------------


def nodes(facts: Facts, history: History | None) -> Table:
    """Return the plan, and how each node ended."""
    last = {part.host: part for part in (history.parts if history else ()) if part.attempt == facts.record.attempts}
    head = ["node", "node rank", "ranks", "address", "clock offset", "state", "ranks joined", "end"]
    rows, first = [], 0
    for node in facts.record.plan["nodes"]:
        host, answer, part = node["host"], facts.nodes.get(node["host"]), last.get(node["host"])
        size = node.get("nproc_per_node")
        own = _NOTHING
        if isinstance(size, int) and size > 0:
            own = str(first) if size == 1 else f"{first}–{first + size - 1}"
            first += size
        address = " ".join(str(node[key]) for key in ("address", "interface") if node.get(key)) or _NOTHING
        state = str(answer["state"]) if answer else "no answer" if _is_silent(facts, host) else _NOTHING
        joined = answer.get("joined") if answer else len(part.ranks) if part else None
        ending = status_table.ending(answer["exit"]) if answer else part.said if part else _NOTHING
        number = _text(node.get("node_rank"))
        rows.append([host, number, own, address, _offset(node.get("clock_offset")), state, _text(joined), ending])
    return _without_empty(Table(head, rows[:MOST_NODES], max(0, len(rows) - MOST_NODES)))


def _is_silent(facts: Facts, host: str) -> bool:
    return any(problem.host in (host, None) for problem in facts.missing)


def _text(value: Any) -> str:
    return _NOTHING if value is None else str(value)


def _offset(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return _NOTHING
    return "±0 s" if abs(seconds) < 0.0005 else f"{seconds:+.3f} s"


def _without_empty(table: Table) -> Table:
    """Remove columns without known values."""
    kept = [at for at in range(len(table.head)) if not at or any(row[at] != _NOTHING for row in table.rows)]
    rows = [[row[at] for at in kept] for row in table.rows]
    return Table([table.head[at] for at in kept], rows, table.more)


# -- before the start ------------------------------------------------------------------------------


def _last_found(entries: Iterable[Entry]) -> Mapping[str, Any]:
    found = [entry.event for entry in entries if entry.event["event"] == events.PLANNED]
    return found[-1] if found else {}


def checks(entries: Sequence[Entry]) -> Table | None:
    """Return the results of the checks before the start; None if they are not known."""
    groups = (_last_found(entries).get("found") or {}).get("checks") or []
    # The proof takes place while nodes get ready, and nothing starts without it.
    started = any(entry.event["event"] == events.STARTED for entry in entries)
    rows = [(group["hosts"], _proven(group["row"], started)) for group in groups]
    done = {name for _, row in rows for name, mark in row.items() if mark != NONE}
    names = [name for name in catalog.NAMES if name in done]
    if not rows or not names:
        return None
    return Table(["nodes", *names], [[fold(hosts), *(row.get(name, NONE) for name in names)] for hosts, row in rows])


def _proven(row: Mapping[str, Any], started: bool) -> dict[str, str]:
    marks = {name: mark if isinstance(mark, str) else NONE for name, mark in row.items()}
    if marks.get("proof") == OK and not started:
        marks["proof"] = NONE
    return marks


def warnings(entries: Sequence[Entry]) -> list[str]:
    """Return the warnings from before the start, which stopped nothing."""
    found = _last_found(entries).get("warnings") or []
    return [f"{one['host']}: {one['message']}" if one["host"] else str(one["message"]) for one in found]


def fingerprint(entries: Sequence[Entry]) -> Table | None:
    """Return the properties of nodes: a column for each group of equal nodes, a row for each known property."""
    groups = (_last_found(entries).get("found") or {}).get("prints") or []
    if not groups:
        return None
    names = list(dict.fromkeys(name for group in groups for name in group["row"]))
    shown = [{name: _value(group["row"].get(name)) for name in names} for group in groups[:_MOST_PRINTS]]
    rows = []
    for name in names:
        values = [row[name] for row in shown]
        if any(value != _NOTHING for value in values):
            # A value that is the same everywhere is shown once.
            rows.append([name.replace("_", " "), *(values[:1] if len(set(values)) == 1 else values)])
    hosts = [fold(group["hosts"]) for group in groups[:_MOST_PRINTS]]
    return Table(["", *hosts], sorted(rows, key=len, reverse=True), len(groups) - len(shown))


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        parts = [f"{name} {_value(one)}" for name, one in value.items() if one not in (None, [], {})]
        return ", ".join(parts) or _NOTHING
    if isinstance(value, list):
        counts = {str(one): value.count(one) for one in value}
        return ", ".join(f"{number} × {one}" if number > 1 else one for one, number in counts.items()) or _NOTHING
    text = str(value)
    if _DIGEST.fullmatch(text):
        return text[:12]
    return _NOTHING if value in (None, "") else text[:200]


# -- what is missing, and what to do next ----------------------------------------------------------


def missing(facts: Facts) -> list[str]:
    """Return the facts that are unavailable, one line for all nodes with the same reason."""
    groups: dict[str, list[str]] = {}
    for problem in facts.missing:
        groups.setdefault(_reason(problem), []).extend([problem.host] if problem.host else [])
    return [f"{fold(hosts)}: {text}" if hosts else text for text, hosts in groups.items()]


def _reason(problem: Problem) -> str:
    return f"{problem.message}; {problem.remedy}" if problem.remedy else problem.message


def commands(facts: Facts) -> list[tuple[str, str]]:
    """Return the commands that show more of a run."""
    run_id = facts.record.run_id
    which = f" --rank {facts.rank}" if facts.rank is not None else f" --host {facts.host}" if facts.host else ""
    found = [("its state now", f"madctl status {run_id}"), ("all output", f"madctl logs {run_id}")]
    if which:
        found.insert(1, ("all output of what failed first", f"madctl logs {run_id}{which}"))
    if facts.run["status"] in GOING:
        return [*found, ("follow it", f"madctl attach {run_id}"), ("stop it", f"madctl stop {run_id}")]
    return [*found, ("fetch all files", f"madctl collect {run_id}")]


def said_in_words(history: History) -> str:
    """Describe a drawing for readers who cannot see it."""
    lost = [part.host for part in history.parts if part.how == LOST]
    failed = [f"{part.host} rank {life.rank}" for part in history.parts for life in part.ranks if life.how == "failed"]
    parts = [count(len(history.hosts), "node"), verdict_text.duration(history.ended - history.began)]
    parts += [f"failed: {', '.join(failed[:8])}"] if failed else []
    parts += [f"lost: {fold(lost)}"] if lost else []
    return "; ".join(parts)
