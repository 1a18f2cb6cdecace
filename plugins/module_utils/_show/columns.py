# SPDX-License-Identifier: Apache-2.0
"""Columns, as wide as a terminal shows what is in them. Pure; private to the collection."""

from __future__ import annotations

import unicodedata
from typing import List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: combining marks take none, East Asian characters two."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "FW") for c in text)


def cut(text: str, columns: int) -> str:
    """Cut off what has no room on a line of a terminal, because a wrapped line cannot be drawn again in place."""
    while width(text) > max(columns, 0):
        text = text[:-1]
    return text


def aligned(rows: Sequence[Sequence[object]], numbers: bool = False) -> List[str]:
    """
    Write rows as lines, every cell harmless and in its column.

    Args:
        numbers: Whether all columns but the first hold numbers, which are aligned at their ends.
    """
    shown = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*shown)]
    lines = []
    for row in shown:
        gaps = [" " * (columns - width(cell)) for cell, columns in zip(row, widths)]
        cells = [gap + cell if numbers and at else cell + gap for at, (cell, gap) in enumerate(zip(row, gaps))]
        lines.append("  ".join(cells).rstrip())
    return lines
