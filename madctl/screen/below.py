# SPDX-License-Identifier: Apache-2.0
"""The part below the lines of a terminal that is redrawn in place: the table of a start, unfinished lines, a clock."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import colours, columns, stage_table
from ansible_collections.madctl.multinode.plugins.module_utils._show.redrawn import Redrawn
from ansible_collections.madctl.multinode.plugins.module_utils._show.waiting import Waiting
from madctl.screen.terminal import Stream


class Below:
    """Draws, if the terminal can; callers hold the lock, and erase the drawing before they write anything else."""

    def __init__(self, stream: Stream, table: stage_table.Table | None, has_clock: bool) -> None:
        """
        Prepare.

        Args:
            table: The table of a start, which is shown until the job prints.
            has_clock: Whether to show what the run is waiting for while nothing is printed.
        """
        self._stream, self._table, self._has_clock = stream, table, has_clock
        self._drawing = Redrawn(stream.write)
        self._waiting = Waiting()
        self.can_draw = stream.can_draw()
        self._written = time.monotonic()

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Take the plan."""
        self._waiting.begin(plan)
        if self._table:
            self._table.begin(plan["nodes"])

    def take(self, event: dict[str, Any]) -> None:
        """Take an event."""
        if self._table:
            self._table.take(event)
        self._waiting.take(event, time.monotonic())

    @property
    def is_clocked(self) -> bool:
        """Whether the drawing changes without events."""
        return self.can_draw and self._has_clock and bool(self._waiting.text(0))

    def erase(self, also_echo: bool = False) -> None:
        """Erase the drawing so that something else can be written; see ``Redrawn.erase``."""
        self._drawing.erase(also_echo and self.can_draw)
        self._written = time.monotonic()

    def leave_table(self) -> None:
        """Remove the table for good: from now on, the screen belongs to the job's lines."""
        self._table = None

    def end(self) -> None:
        """Erase the drawing for good."""
        self._drawing.erase()
        self._table, self.can_draw = None, False

    def draw(self, rows: Iterable[str]) -> None:
        """Draw, if the terminal can; ``rows`` are the job's unfinished lines."""
        if not self.can_draw:
            return
        width, height = self._stream.size()
        lines = [colours.fitted(row, width - 1) for row in list(rows)[-max(1, height // 2 - 2) :]]
        if lines:
            self.leave_table()
        elif self._table:
            lines = self._table.lines((width, height))
        clock = self._waiting.line(time.monotonic(), self._written) if self._has_clock else ""
        self._drawing.draw([*lines, columns.cut(clock, width - 1)] if clock else lines)
