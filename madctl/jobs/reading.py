# SPDX-License-Identifier: Apache-2.0
"""The part of a story that a reader wants: all, the output since a time, the last lines of each log. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, wire

_OUTPUT = (events.LOG, events.SKIPPED)
_ENDS = (events.EXIT, events.LOST)


class Reading:
    """Passes on the wanted frames; those with output may be held back."""

    def __init__(self, since: float | None = None, lines: int | None = None) -> None:
        """
        Prepare.

        Args:
            since: Leave out output printed before this time, in seconds since the epoch.
            lines: Of the output before ``caught_up`` or the node's end, pass on only that many last lines of each log.
        """
        self._since, self._lines = since, lines
        self._tails: dict[tuple[str, str], _Tail] = {}

    def take(self, frame: wire.Frame) -> Iterator[wire.Frame]:
        """Take a frame, and yield the frames to show now."""
        event, payload = frame
        kind, host = event["event"], event.get("host", "")
        if kind in _OUTPUT and self._since is not None and event.get("time", 0.0) < self._since:
            return
        if kind not in _OUTPUT or self._lines is None:
            yield from self._released(host) if kind in _ENDS else ()
            yield frame
        elif payload:
            self._tails.setdefault((host, event["log"]), _Tail(self._lines)).add(frame)

    def caught_up(self) -> Iterator[wire.Frame]:
        """Yield the frames that were held back; from now on, pass on everything at once."""
        yield from self._released()
        self._lines = None

    def _released(self, only: str | None = None) -> Iterator[wire.Frame]:
        for host, log in [key for key in self._tails if only in (None, key[0])]:
            yield from self._tails.pop((host, log)).frames()


class _Tail:
    """The end of one log: at least the wanted number of lines, and little more."""

    def __init__(self, lines: int) -> None:
        self._lines, self._newlines = lines, 0
        self._held: deque[wire.Frame] = deque()

    def add(self, frame: wire.Frame) -> None:
        """Take the next part of the log, and drop parts that are too old."""
        self._held.append(frame)
        self._newlines += frame[1].count(b"\n")
        while self._newlines - self._held[0][1].count(b"\n") > self._lines:
            self._newlines -= self._held.popleft()[1].count(b"\n")

    def frames(self) -> Iterator[wire.Frame]:
        """Yield the last lines; an unfinished line counts as well."""
        has_more = not self._held[-1][1].endswith(b"\n")
        surplus = max(0, self._newlines + has_more - self._lines)
        for event, payload in self._held:
            count = payload.count(b"\n")
            if surplus > count:
                surplus -= count
                continue
            kept = payload.split(b"\n", surplus)[-1]
            surplus = 0
            if kept:
                yield {**event, "bytes": len(kept)}, kept
