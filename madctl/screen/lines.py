# SPDX-License-Identifier: Apache-2.0
"""
Fold lines that several ranks of a job print alike, on their way to madctl's screen.

Everything is pure except the Ticker, which has a clock and a thread.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import harmless
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count, fold
from ansible_collections.madctl.multinode.plugins.module_utils._show.rows import CUT
from ansible_collections.madctl.multinode.plugins.module_utils._show.story import Source

_LABEL = 40
DRAW_SECONDS = 0.1
_IDLE_SECONDS = 1.0
_NEVER = float("inf")


def shortened(text: str, longest: int) -> str:
    """Cut a text that is too long."""
    return text if len(text) <= longest else text[:longest] + CUT


def excerpt(text: str, most: int, longest: int) -> list[str]:
    """Return the first lines of an untrusted text, and how many more there are."""
    lines = [line.encode("utf-8", "backslashreplace") for line in text.strip("\n").splitlines()]
    shown = [shortened(harmless(line), longest) for line in lines[: most if len(lines) <= most else most - 1]]
    return shown + [f"… {len(lines) - len(shown)} more lines"] * (len(lines) > most)


def one_line(text: str, longest: int = 400) -> str:
    """Write an untrusted text on one line."""
    return shortened(harmless(" ".join(text.split()).encode("utf-8", "backslashreplace")), longest)


@dataclass
class Line:
    """One line of the screen and its sources; lines of different ``kind`` are not folded."""

    kind: str
    text: str
    sources: list[Source] = field(default_factory=list)
    since: float = field(default=0.0, compare=False)
    number: int = field(default=0, compare=False)

    @property
    def hosts(self) -> list[str]:
        """The hosts among the sources, each once."""
        return list(dict.fromkeys(host for host, _ in self.sources))

    @property
    def label(self) -> str:
        """Its sources: one rank as host:rank, several ranks as their hosts and their number."""
        if len(self.sources) == 1:
            return label(self.sources[0])
        hosts = fold(self.hosts)
        if len(hosts) > _LABEL:
            hosts = count(len(self.hosts), "node")
        return f"{hosts} ×{len(self.sources)}"

    @property
    def cost(self) -> int:
        """Its approximate memory; the bookkeeping takes more than most lines."""
        return len(self.text) + 256 + 64 * len(self.sources)


def label(source: Source) -> str:
    """Write a source as host:rank."""
    return ":".join(source) if source[1] else source[0]


class Window:
    """
    Folds equal lines that several sources print within a short time.

    The lines of a source keep their order and number: a source joins only a line that comes after its last one.
    """

    def __init__(self, seconds: float = 0.2, most: int = 4 << 20) -> None:
        """
        Open a window.

        Args:
            seconds: How long a line waits for equal ones.
            most: Approximate memory for waiting lines, in bytes; beyond it, the oldest lines are due at once.
        """
        self._seconds, self._most = seconds, most
        self._waiting: deque[Line] = deque()
        self._numbers: dict[tuple[str, str], list[int]] = {}  # of waiting lines, ascending
        self._lines: dict[int, Line] = {}
        self._latest: dict[Source, int] = {}
        self._next = 1
        self._size = 0

    def feed(self, now: float, source: Source, text: str, kind: str = "line") -> None:
        """Add a line."""
        numbers = self._numbers.setdefault((kind, text), [])
        place = bisect_right(numbers, self._latest.get(source, 0))
        if place < len(numbers):
            line = self._lines[numbers[place]]
        else:
            line = Line(kind, text, [], now, self._next)
            self._next += 1
            self._size += line.cost
            numbers.append(line.number)
            self._lines[line.number] = line
            self._waiting.append(line)
        self._size -= line.cost
        line.sources.append(source)
        self._size += line.cost
        self._latest[source] = line.number

    def due(self, now: float) -> Iterator[Line]:
        """
        Yield the lines that have waited long enough, in the order in which they first appeared.

        Each is removed when it is yielded, so none is lost or out of order if the caller is interrupted.
        """
        while self._waiting and (self._waiting[0].since + self._seconds <= now or self._size > self._most):
            line = self._waiting.popleft()
            numbers = self._numbers[line.kind, line.text]
            numbers.pop(0)
            if not numbers:
                del self._numbers[line.kind, line.text]
            del self._lines[line.number]
            self._size -= line.cost
            yield line

    def next_due(self) -> float | None:
        """Return when the next line is due; None if no line waits."""
        return self._waiting[0].since + self._seconds if self._waiting else None


class Ticker:
    """Shows the lines of a window when they are due, even without further input, and draws what is below them."""

    def __init__(
        self,
        window: Window,
        show: Callable[[Line], None],
        lock: threading.RLock,
        draw: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Wrap a window; the thread starts with the first line or drawing.

        Args:
            show: Called with each line, in order, by one thread at a time.
            lock: Held whenever the window is used; callers hold it too.
            draw: Draws what is below the lines.
        """
        self._window, self._show, self._draw, self._clock = window, show, draw, clock
        self._more = threading.Condition(lock)
        self._drawing_due: float | None = None
        self._thread: threading.Thread | None = None

    def add(self, source: Source, text: str, kind: str = "line") -> None:
        """Add a line to the window, and show what is due."""
        with self._more:
            asleep = self._window.next_due() is None
            self._window.feed(self._clock(), source, text, kind)
            self._show_due(self._clock())
            if asleep:
                self._wake()

    def redraw(self, seconds: float = DRAW_SECONDS) -> None:
        """Draw in that many seconds, unless a drawing is due earlier; further calls until then cost nothing."""
        with self._more:
            due = self._clock() + seconds
            if due < (self._drawing_due or _NEVER):
                self._drawing_due = due
                self._wake()

    def flush(self) -> None:
        """Show all waiting lines."""
        with self._more:
            self._show_due(float("inf"))

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._more.notify()

    def _show_due(self, now: float) -> None:
        for line in self._window.due(now):
            self._show(line)

    def _run(self) -> None:
        with self._more:
            while True:
                now = self._clock()
                due = min(self._window.next_due() or _NEVER, self._drawing_due or _NEVER)
                if due > now:
                    is_asked = self._more.wait(_IDLE_SECONDS if due == _NEVER else due - now)
                    if not is_asked and self._window.next_due() is None and self._drawing_due is None:
                        # End an idle thread: it cannot know which line is the last, and a program may show many runs.
                        self._thread = None
                        return
                    continue
                try:
                    self._show_due(now)
                    if (self._drawing_due or _NEVER) <= now:
                        self._drawing_due = None
                        self._draw()
                except OSError:
                    # The screen is gone; the caller that adds the next line gets the error and can act.
                    self._more.wait()
