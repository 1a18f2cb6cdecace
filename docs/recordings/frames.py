# SPDX-License-Identifier: Apache-2.0
"""What a terminal shows at any time of a recording, as lines that appear at one time and disappear at another."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import pyte

# Longer pauses between lines are shortened to this; durations in the text stay those of the run.
LONGEST_PAUSE = 1.5
# Readers do not need more than ten frames per second.
_BETWEEN_FRAMES = 0.1
# The shell turns on bracketed paste while it reads a command, and only then.
_ANSWER = re.compile(r"\x1b\[\?2004l(.*?)\x1b\[\?2004h", re.S)


@dataclass(frozen=True)
class Run:
    """Characters of one line with one style: the name of a colour, or empty."""

    column: int
    columns: int
    text: str
    style: str


@dataclass(frozen=True)
class Line:
    """The content of one row from ``start`` to ``end``; the last lines of a recording have no end."""

    row: int
    start: float
    end: float | None
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Recording:
    """A recording as it is played: without long pauses and invisible content."""

    columns: int
    rows: int
    seconds: float
    lines: tuple[Line, ...]


def read(cast: str) -> Recording:
    """Parse a recording from the text of an asciicast 2."""
    header, *events = map(json.loads, cast.splitlines())
    screen = pyte.Screen(header["width"], header["height"])
    stream = pyte.Stream(screen)
    shown: dict[int, tuple[float, tuple[Run, ...]]] = {}
    lines: list[Line] = []
    now = 0.0
    for now, data in _frames(events):
        stream.feed(data)
        for row in range(screen.lines):
            runs = tuple(_runs(screen, row))
            since, before = shown.get(row, (now, ()))
            if runs != before:
                if before:
                    lines.append(Line(row, since, now, before))
                shown[row] = now, runs
    lines += [Line(row, since, None, runs) for row, (since, runs) in shown.items() if runs]
    return Recording(screen.columns, screen.lines, now, tuple(lines))


def answers(cast: str) -> list[str]:
    """Return the lines that commands of a recording printed, unwrapped, and without those that were overwritten."""
    _, *events = map(json.loads, cast.splitlines())
    screen = pyte.Screen(1000, 1000)
    for answer in _ANSWER.findall("".join(data for _, _, data in events)):
        pyte.Stream(screen).feed(answer)
    return [line.rstrip() for line in screen.display if line.strip()]


def _frames(events: list[tuple[float, str, str]]) -> Iterator[tuple[float, str]]:
    """Yield output that appears together, with its time; pauses are cut to ``LONGEST_PAUSE``."""
    now, before, pending = 0.0, 0.0, ""
    for at, _, data in events:
        passed = min(at - before, LONGEST_PAUSE)
        if pending and passed >= _BETWEEN_FRAMES:
            yield round(now, 2), pending
            pending = ""
        if not pending:
            now += passed
            before = at
        pending += data
    yield round(now, 2), pending


def _runs(screen: pyte.Screen, row: int) -> Iterator[Run]:
    cells = [(column, screen.buffer[row][column]) for column in range(screen.columns)]
    for style, group in groupby(cells, lambda cell: _style(cell[1])):
        run = list(group)
        while run and run[-1][1].data == " ":
            run.pop()
        while run and run[0][1].data == " ":
            run.pop(0)
        if run:
            # The second half of a wide character is empty.
            yield Run(run[0][0], len(run), "".join(cell.data for _, cell in run), style)


def _style(cell: pyte.screens.Char) -> str:
    color = "" if cell.fg == "default" else cell.fg
    return f"{color} bold".strip() if cell.bold else color
