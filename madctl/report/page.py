# SPDX-License-Identifier: Apache-2.0
"""
A report as one HTML file that loads nothing, needs no JavaScript and stays below a size limit.

Its text comes from files, nodes or jobs, so everything that the template writes is made harmless first: control
characters and marks that change the direction of writing become visible escapes, and then HTML is escaped.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import lines as harmless_lines
from madctl.report import history, sections, telling, timeline
from madctl.report.facts import Facts, Log

MOST_BYTES = 2_000_000
_MOST_OF_CAUSE = 256 << 10
# The markup around a log in the page.
_LOG_BYTES = 200
_MANY_LOGS = 32


@dataclass(frozen=True)
class LogGroup:
    """The logs of one node."""

    host: str
    logs: Sequence[Log]


def render(facts: Facts) -> str:
    """Write the page."""
    template, words = _template(), _words(facts)
    bare = template.render(**words, groups=[], left_out=len(facts.logs))
    room = MOST_BYTES - len(bare.encode()) - (8 << 10)
    while True:
        kept = list(_fitting(facts, room))
        page: str = template.render(**words, groups=_grouped(kept), left_out=len(facts.logs) - len(kept))
        if len(page.encode()) < MOST_BYTES or not kept:
            return page
        room //= 2


@functools.cache
def _template() -> Any:
    import jinja2

    # The template computes nothing that Python could compute, and nothing bypasses the escaping.
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = importlib.resources.files("madctl.report").joinpath("template.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)


def _harmless(value: Any) -> Any:
    if value is None or hasattr(value, "__html__"):
        return value or ""  # The output of a macro is already harmless.
    return harmless_lines(value) if isinstance(value, str) else value


def _words(facts: Facts) -> Mapping[str, Any]:
    from madctl.version import version

    entries = history.entries_of(facts)
    known = history.of(facts, entries)
    began = known.began if known else facts.run["created"]
    happenings, more = telling.happenings(facts, entries, began)
    return {
        "title": facts.record.name or facts.record.run_id,
        "run_id": facts.record.run_id,
        "verdict": sections.verdict(facts),
        "missing": sections.missing(facts),
        "is_followed": any(entry.event["event"] in _SEEN_HERE for entry in entries),
        "about": sections.about(facts),
        "panels": timeline.panels(known) if known else [],
        "described": sections.said_in_words(known) if known else "",
        "happenings": happenings,
        "more_happenings": more,
        "earlier": facts.earlier,
        "nodes": sections.nodes(facts, known),
        "checks": sections.checks(entries),
        "warnings": sections.warnings(entries),
        "fingerprint": sections.fingerprint(entries),
        "commands": sections.commands(facts),
        "made": sections.clock(facts.now),
        "version": version(),
    }


_SEEN_HERE = (events.PROBED, events.PLANNED)


# -- logs ------------------------------------------------------------------------------------------


def _fitting(facts: Facts, room: int) -> Iterator[Log]:
    """Yield the ends of logs that fit, beginning with the first failure; all others get equal shares of the space."""
    first = next(iter(sections.cause_logs(facts)), None)
    order = {host: place for place, host in enumerate(facts.record.targets["names"])}

    def place(log: Log) -> tuple[Any, ...]:
        is_same = log.host == facts.host and log.rank == ("" if facts.rank is None else str(facts.rank))
        rank = int(log.rank) if log.rank.isdigit() else -1
        return log is not first, not is_same, order.get(log.host, len(order)), rank, log.stream

    logs = sorted(facts.logs, key=place)
    for at, log in enumerate(logs):
        most = min(room, _MOST_OF_CAUSE) if log is first else room // (len(logs) - at)
        kept, size = _end(log, most - _LOG_BYTES)
        if kept:
            room -= size + _LOG_BYTES
            yield replace(log, lines=kept, is_cut=log.is_cut or len(kept) < len(log.lines))


def _end(log: Log, room: int) -> tuple[list[str], int]:
    """Return the last lines that fit, and their size on the page in bytes."""
    kept: list[str] = []
    size = len(escape(harmless_lines(log.source)).encode())
    for line in reversed(log.lines):
        cost = len(escape(harmless_lines(line)).encode()) + 1
        if size + cost > room:
            break
        size += cost
        kept.append(line)
    return kept[::-1], size


def _grouped(logs: Sequence[Log]) -> list[LogGroup]:
    """Group logs by node if there are many; the first one stays first."""
    if len(logs) <= _MANY_LOGS:
        return [LogGroup("", list(logs))] if logs else []
    groups: dict[str, list[Log]] = {}
    for log in logs[1:]:
        groups.setdefault(log.host, []).append(log)
    return [LogGroup("", logs[:1]), *(LogGroup(host, own) for host, own in groups.items())]
