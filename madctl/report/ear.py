# SPDX-License-Identifier: Apache-2.0
"""The output that a session reads from a run: the last lines of each log, kept for a page instead of shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import EVERYTHING
from madctl.report.facts import Log
from madctl.screen.log_view import STREAMS, Form, LogView
from madctl.screen.merging import LogLine

# Per log; a page has space for much less of most logs.
MOST_LINES, _MOST_CHARACTERS = 1000, 256 << 10

Source = tuple[str, str, str]  # host, rank or empty, stream


class Ear(LogView):
    """Receives the events of a session that reads a run."""

    def __init__(self, names: Sequence[str], plan: Any) -> None:
        """
        Prepare.

        Args:
            names: All nodes of the run.
            plan: The plan of the run, with the nodes that are read.
        """
        self._tails: dict[Source, _Tail] = {}
        super().__init__(names, plan, Form(with_times=True), EVERYTHING)

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Keep the output in one event."""
        with self._lock:
            if event["event"] in (events.LOG, events.SKIPPED):
                self._begin_log(event)
            super().on_event(event, payload)

    def _begin_log(self, event: dict[str, Any]) -> None:
        name, _, stream = event["log"].rpartition(".")
        rank = name.removeprefix("rank-") if name.startswith("rank-") else ""
        source = event["host"], rank, STREAMS.get(stream, stream)
        begins_late = source not in self._tails and event.get("offset", 0) > 0
        tail = self._tails.setdefault(source, _Tail())
        tail.is_cut = tail.is_cut or begins_late or event["event"] == events.SKIPPED

    def put(self, line: LogLine) -> None:
        """Keep one line of the job."""
        self._tails.setdefault((line.host, line.rank, line.stream), _Tail()).add(line.text)

    def logs(self) -> list[Log]:
        """Return the end of each log that is not empty."""
        with self._lock:
            return [
                Log(*source, lines=tuple(tail.lines), is_cut=tail.is_cut)
                for source, tail in self._tails.items()
                if tail.lines
            ]


class _Tail:
    """The last lines of one log."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque()
        self.is_cut = False
        self._characters = 0

    def add(self, text: str) -> None:
        self.lines.append(text)
        self._characters += len(text) + 1
        while len(self.lines) > 1 and (len(self.lines) > MOST_LINES or self._characters > _MOST_CHARACTERS):
            self._characters -= len(self.lines.popleft()) + 1
            self.is_cut = True
