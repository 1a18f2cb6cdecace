# SPDX-License-Identifier: Apache-2.0
"""
The geometry of a timeline: nodes × stage × ranks as rectangles, lines and marks. Pure.

Horizontal positions are percentages of the width, so that the page can have any width without scaling its texts;
vertical positions are pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import LOST
from ansible_collections.madctl.multinode.plugins.module_utils._show.verdict_text import duration
from madctl.report.history import FAILED, OPEN, History, Part, RankLife

# The name of a bar, by the stage that ends it; after the last stage, the ranks run.
_CALLED = {"probe": "probe", "arm": "arm", "go": "go", "ranks": "join"}
RUN = "run"
MOST_ROWS, MOST_RANKS = 128, 1024
_BAR, _TOP, _GAP = 8.0, 5.0, 5.0
_ROOMY, _DENSE = 15.0, 4.0
_FEW_ROWS, _FEW_RANKS = 16, 4
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_TICKS = 6
# The start is drawn a second time if it takes less than this fraction of the whole.
_NARROW = 0.12
# Beyond this percentage of the width, a label has no space to the right of its position.
_FAR = 88.0


@dataclass(frozen=True)
class Scale:
    """A span of time, in seconds since the epoch."""

    begin: float
    end: float

    def at(self, moment: float) -> float:
        """Return the position of a time in percent, within the span."""
        span = self.end - self.begin
        place = (moment - self.begin) / span * 100 if span > 0 else 0.0
        return round(min(100.0, max(0.0, place)), 2)

    def shows(self, begin: float, end: float) -> bool:
        """Return whether a span overlaps this one."""
        return begin <= self.end and end >= self.begin


@dataclass(frozen=True)
class Box:
    """A rectangle: a stage of a node, or a time when it was silent."""

    kind: str
    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Line:
    """The life of a rank; ``label`` is empty if there is no space for one."""

    kind: str
    x: float
    until: float
    y: float
    title: str
    label: str


@dataclass(frozen=True)
class Mark:
    """Where something ended, and how."""

    kind: str
    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Row:
    """One node."""

    host: str
    height: float
    boxes: Sequence[Box]
    lines: Sequence[Line]
    marks: Sequence[Mark]
    is_roomy: bool
    said: str
    more: int


@dataclass(frozen=True)
class Tick:
    """A labelled time on the axis."""

    x: float
    label: str


@dataclass(frozen=True)
class Rule:
    """A line across all rows: at the first failure, with its label before it, or where an attempt begins."""

    kind: str
    x: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Panel:
    """One drawing."""

    title: str
    ticks: Sequence[Tick]
    rules: Sequence[Rule]
    rows: Sequence[Row]
    left_out: Sequence[str]


def panels(history: History) -> list[Panel]:
    """Lay out the whole run, and its start separately if the whole is too coarse to show it."""
    whole = Scale(history.began, max(history.ended, history.began + 0.1))
    found = [_panel("", history, whole)]
    start = _start(history)
    if start is not None and (start - whole.begin) / (whole.end - whole.begin) < _NARROW:
        beginning = Scale(whole.begin, start + (start - whole.begin) * 0.1)
        found.append(_panel("The start", history, beginning))
    return found


def _start(history: History) -> float | None:
    """Return when the start of the first attempt was complete: all ranks had joined, or nodes had started."""
    stages = [part.stages[-1][1] for part in history.parts if part.attempt == 1 and part.stages]
    latest = max(stages, default=history.began)
    return latest if latest > history.began else None


def _panel(title: str, history: History, scale: Scale) -> Panel:
    hosts, left_out = _shown(history)
    parts = {host: [part for part in history.parts if part.host == host] for host in hosts}
    most = max((len({life.rank for part in own for life in part.ranks}) for own in parts.values()), default=0)
    is_few = len(hosts) <= _FEW_ROWS
    if title:
        # Nodes of later attempts took no part in the start; and with many nodes, only the whole shows ranks.
        parts = {host: [one for one in own if one.attempt == 1] for host, own in parts.items()}
        parts = {host: own if is_few else [replace(one, ranks=()) for one in own] for host, own in parts.items() if own}
    rows = [_row(host, own, scale, is_few and most <= _FEW_RANKS and not title) for host, own in parts.items()]
    return Panel(title, _ticks(history, scale), list(_rules(history, scale)), rows, left_out)


def _shown(history: History) -> tuple[list[str], list[str]]:
    """Return the nodes to draw, and the others; if there are many, those that failed or were silent come first."""
    hosts = history.hosts
    if len(hosts) <= _FEW_ROWS:
        return hosts, []
    loud = {part.host for part in history.parts if part.how in (FAILED, LOST) or part.gaps}
    ordered = [*(host for host in hosts if host in loud), *(host for host in hosts if host not in loud)]
    return ordered[:MOST_ROWS], ordered[MOST_ROWS:]


# -- rows ------------------------------------------------------------------------------------------


def _row(host: str, parts: Sequence[Part], scale: Scale, is_roomy: bool) -> Row:
    ranks = sorted({life.rank for part in parts for life in part.ranks})
    kept = ranks[: max(1, MOST_RANKS // MOST_ROWS * 8)]
    pitch = _ROOMY if is_roomy else _DENSE
    first = _TOP + _BAR + (_ROOMY * 0.6 if is_roomy else _DENSE + 1)
    places = {rank: round(first + pitch * at, 1) for at, rank in enumerate(kept)}
    bottom = first + pitch * max(0, len(kept) - 1) if kept else _TOP + _BAR
    boxes = [box for part in parts for box in _boxes(part, scale)]
    lives = [(life, part) for part in parts for life in part.ranks if life.rank in places]
    lines = [line for life, part in lives for line in _line(life, part, places[life.rank], scale, is_roomy)]
    marks = [mark for part in parts for mark in _marks(part, places, scale)]
    said = "; ".join(_said(part, len(parts) > 1) for part in parts)
    height = round(bottom + _GAP + (_ROOMY * 0.2 if is_roomy else 0), 1)
    return Row(host, height, boxes, lines, marks, is_roomy, said, len(ranks) - len(kept))


def _said(part: Part, is_numbered: bool) -> str:
    return f"attempt {part.attempt}: {part.said}" if is_numbered else part.said


def _boxes(part: Part, scale: Scale) -> Iterator[Box]:
    over = part.ended if part.ended is not None else scale.end
    at = part.began
    for name, until in part.stages:
        yield from _box(_CALLED[name], at, min(until, over), scale)
        at = max(at, until)
    if part.stages and part.stages[-1][0] in ("go", "ranks"):
        yield from _box(RUN, at, over, scale)
    for begin, end in part.gaps:
        yield from _box("silent", begin, end, scale)


def _box(kind: str, begin: float, end: float, scale: Scale) -> Iterator[Box]:
    if end >= begin and scale.shows(begin, end):
        x, until = scale.at(begin), scale.at(end)
        yield Box(kind, x, round(until - x, 2), f"{kind}: {duration(end - begin)}")


def _line(life: RankLife, part: Part, y: float, scale: Scale, is_roomy: bool) -> Iterator[Line]:
    begin = life.joined if life.joined is not None else life.ended
    end = life.ended if life.ended is not None else part.ended if part.ended is not None else scale.end
    if begin is None or not scale.shows(begin, end):
        return
    said = f": {life.said}" if life.said else ""
    label = str(life.rank) if is_roomy else ""
    # Show a failure only if its time is in the span.
    kind = life.how if life.how != FAILED or scale.shows(end, end) else OPEN
    yield Line(kind, scale.at(begin), scale.at(end), y, f"rank {life.rank}{said}", label)


def _marks(part: Part, places: dict[int, float], scale: Scale) -> Iterator[Mark]:
    if part.ended is not None and scale.shows(part.ended, part.ended):
        yield Mark(part.how, scale.at(part.ended), _TOP + _BAR / 2, f"{part.host}: {part.said}")
    for life in part.ranks:
        at = life.ended
        if life.how == FAILED and at is not None and life.rank in places and scale.shows(at, at):
            yield Mark(life.how, scale.at(at), places[life.rank], f"rank {life.rank}: {life.said}")


# -- the axis --------------------------------------------------------------------------------------


def _ticks(history: History, scale: Scale) -> list[Tick]:
    """Place a few ticks on the axis, labelled with the time after the beginning."""
    span = scale.end - scale.begin
    step = step_of(span)
    count = min(math.floor(span / step + 1e-9), 4 * _TICKS)
    offset = scale.begin - history.began
    return [Tick(scale.at(scale.begin + at * step), _label(offset + at * step, step)) for at in range(count + 1)]


def step_of(span: float) -> float:
    """Return the distance between ticks on an axis of that many seconds."""
    wanted = span / _TICKS
    if wanted < 1:
        scale = 10.0 ** math.floor(math.log10(max(wanted, 1e-3)))
        return next((step * scale for step in (1, 2, 5) if step * scale >= wanted - 1e-12), 10 * scale)
    days = 86400 * math.ceil(wanted / 86400)
    return float(next((step for step in _STEPS if step >= wanted), days))


def _label(seconds: float, step: float) -> str:
    if seconds < 1e-9:
        return "0"
    if step < 1:
        return f"{seconds:.{max(1, -math.floor(math.log10(step) + 1e-9))}f} s"
    whole = round(seconds)
    minutes, hours = whole // 60, whole // 3600
    if step < 60:
        return f"{whole} s" if whole < 120 else f"{minutes}:{whole % 60:02d} min"
    if whole < 7200:
        return f"{minutes} min"
    if whole < 172800:
        return f"{hours} h" if step >= 3600 else f"{hours} h {minutes % 60:02d}"
    return f"{hours // 24} d" if step >= 86400 else f"{hours // 24} d {hours % 24} h"


def _rules(history: History, scale: Scale) -> Iterator[Rule]:
    attempts = sorted({part.attempt for part in history.parts})
    for attempt in attempts[1:]:
        begin = min(part.began for part in history.parts if part.attempt == attempt)
        if scale.shows(begin, begin):
            x = scale.at(begin)
            yield Rule("attempt", x, f"attempt {attempt}", "end" if x > _FAR else "start")
    for at in history.failed.values():
        if scale.shows(at, at):
            x = scale.at(at)
            label = "failure" if len(attempts) > 1 else "first failure"
            yield Rule("failure", x, label, "start" if x < 100 - _FAR else "end")
