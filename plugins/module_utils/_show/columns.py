# SPDX-License-Identifier: Apache-2.0
"""Format columns, as wide as a terminal shows their content. Pure; private to the collection."""

from __future__ import annotations

import itertools
import unicodedata
from typing import List, Mapping, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain

_GAP = "  "
_CUT = "…"
_NO_COLOURS: Mapping[str, str] = {}
# Parameters of the escape sequence SGR.
RED, YELLOW, GREEN, DIM = "31", "33", "32", "2"


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: combining marks take none, East Asian characters two."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "FW") for c in text)


def cut(text: str, columns: int, mark: str = "") -> str:
    """
    Cut a text to some columns of a terminal.

    Args:
        mark: The end of a text that was cut.
    """
    if width(text) <= columns:
        return text
    room = columns - width(mark)
    ends = itertools.accumulate(map(width, text))
    return text[: sum(1 for _ in itertools.takewhile(lambda end: end <= room, ends))] + mark if room >= 0 else ""


def painted(text: str, colour: Optional[str]) -> str:
    """Format a text in a colour, if there is one."""
    return "\x1b[%sm%s\x1b[0m" % (colour, text) if colour else text


def aligned(
    rows: Sequence[Sequence[object]], numbers: bool = False, colours: Mapping[str, str] = _NO_COLOURS
) -> List[str]:
    """
    Format rows as lines, every cell harmless and in its column.

    Args:
        numbers: Whether all columns but the first contain numbers, which are right-aligned.
        colours: The colours of cells, by their texts; the first column has none.
    """
    return _lines([[plain(cell) for cell in row] for row in rows], numbers, colours)


def fitted(
    rows: Sequence[Sequence[object]],
    columns: Optional[int],
    free: Sequence[int] = (-1,),
    colours: Mapping[str, str] = _NO_COLOURS,
) -> List[str]:
    """
    Format rows as lines that are no wider than a terminal, as far as cutting some columns allows.

    Args:
        rows: The first one contains the headings, which are never cut.
        columns: The columns of the terminal; None if lines can have any length.
        free: Which columns of the table may be cut; the widest of them is cut first.
        colours: As for ``aligned``.
    """
    shown = [[plain(cell) for cell in row] for row in rows]
    if columns is not None:
        most = _fitting(_widths(shown), {at % len(shown[0]): width(shown[0][at]) for at in free}, columns)
        shown = [[cut(cell, room, _CUT) for cell, room in zip(row, most)] for row in shown]
    return _lines(shown, colours=colours)


def _fitting(widths: List[int], least: Mapping[int, int], columns: int) -> List[int]:
    """Return widths that fit: those of free columns shrink to the same level, but not below their minimum."""
    for level in range(columns, -1, -1):
        found = [min(wide, max(level, least[at])) if at in least else wide for at, wide in enumerate(widths)]
        left = columns - sum(found) - len(_GAP) * (len(found) - 1)
        if left >= 0:
            # Reducing each by one more column would have been too much.
            for at in least:
                more = min(left, widths[at] - found[at])
                found[at], left = found[at] + more, left - more
            return found
    # There is still no room for all of them, and the last ones are cut.
    start = 0
    for at, wide in enumerate(found):
        found[at] = max(0, min(wide, columns - start))
        start += found[at] + len(_GAP)
    return found


def _widths(shown: Sequence[Sequence[str]]) -> List[int]:
    return [max(map(width, column)) for column in zip(*shown)]


def _lines(
    shown: Sequence[Sequence[str]], numbers: bool = False, colours: Mapping[str, str] = _NO_COLOURS
) -> List[str]:
    widths = _widths(shown)
    lines = []
    for row in shown:
        gaps = [" " * (columns - width(cell)) for cell, columns in zip(row, widths)]
        seen = [row[0], *(painted(cell, colours.get(cell)) for cell in row[1:])]
        cells = [gap + cell if numbers and at else cell + gap for at, (cell, gap) in enumerate(zip(seen, gaps))]
        lines.append(_GAP.join(cells).rstrip())
    return lines
