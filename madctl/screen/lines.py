# SPDX-License-Identifier: Apache-2.0
"""
The job's lines on their way to madctl's screen: folded over ranks, once they are cut out of bytes.

All of it is pure but the Ticker at the end, which has a clock and a thread.
"""

from __future__ import annotations

import functools
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import NAME
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import CUT, harmless

_LABEL = 40

Source = tuple[str, str]  # host, and rank or nothing


def fold(hosts: Sequence[str]) -> str:
    """Write many names as a short list; addresses with colons are nothing that can be folded."""
    return _folded(tuple(hosts))


@functools.lru_cache(1024)
def _folded(hosts: tuple[str, ...]) -> str:
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

    # ClusterShell gives a meaning to other characters: "a!b" would lose its half.
    if len(hosts) < 2 or not all(map(NAME.fullmatch, hosts)):
        return ",".join(hosts)
    try:
        return str(NodeSet.fromlist(hosts, resolver=RESOLVER_NOGROUP))
    except NodeSetException:  # A number of a hundred digits.
        return ",".join(hosts)


def shortened(text: str, longest: int) -> str:
    """Cut a text that is too long."""
    return text if len(text) <= longest else text[:longest] + CUT


def excerpt(text: str, most: int, longest: int) -> list[str]:
    """Give the first lines of a text of unknown origin, and say how many more there are."""
    lines = [line.encode("utf-8", "backslashreplace") for line in text.strip("\n").splitlines()]
    shown = [shortened(harmless(line), longest) for line in lines[: most if len(lines) <= most else most - 1]]
    return shown + [f"… {len(lines) - len(shown)} more lines"] * (len(lines) > most)


def one_line(text: str, longest: int = 400) -> str:
    """Write a text of unknown origin on one line."""
    return shortened(harmless(" ".join(text.split()).encode("utf-8", "backslashreplace")), longest)


def victims_line(ranks: Mapping[str, int]) -> str:
    """Say how many ranks of which hosts lost their peer; nothing where none did."""
    hosts = [host for host, count in ranks.items() if count]
    count = sum(ranks[host] for host in hosts)
    words = "1 rank then lost its peer" if count == 1 else f"{count} ranks then lost their peer"
    return f"{fold(hosts)}: {words}" if hosts else ""


@dataclass(frozen=True)
class Line:
    """One line of the screen and whoever said it; ``kind`` keeps apart what only looks the same."""

    kind: str
    text: str
    sources: tuple[Source, ...]

    @property
    def hosts(self) -> list[str]:
        """The hosts among the sources, each once."""
        return list(dict.fromkeys(host for host, _ in self.sources))

    @property
    def label(self) -> str:
        """Who said it: a rank as host:rank, several as their hosts and how many they are."""
        if len(self.sources) == 1:
            host, rank = self.sources[0]
            return f"{host}:{rank}" if rank else host
        hosts = fold(self.hosts)
        if len(hosts) > _LABEL:
            hosts = f"{len(self.hosts)} nodes"
        return f"{hosts} ×{len(self.sources)}"

    @property
    def about_links(self) -> str:
        """What it says of the connections to hosts; nothing where it is a line of the job."""
        many = len(self.hosts) > 1
        if self.kind == events.SUSPECT:
            return f"{fold(self.hosts)} do{'' if many else 'es'} not answer; the run goes on, trying again"
        return f"{fold(self.hosts)} {'are' if many else 'is'} back" if self.kind == events.BACK else ""


@dataclass
class _Group:
    number: int
    since: float
    kind: str
    text: str
    sources: list[Source] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str]:
        return (self.kind, self.text)

    @property
    def cost(self) -> int:
        # About what Python takes for the bookkeeping, which is more than most lines.
        return len(self.text) + 256 + 64 * len(self.sources)


class Window:
    """
    Folds equal lines that several sources give within a short time.

    The lines of one source keep their order and their number: a source only ever joins a line that
    stands behind the last one it gave.
    """

    def __init__(self, seconds: float = 0.2, most: int = 4 << 20) -> None:
        """
        Open a window.

        Args:
            seconds: How long a line waits for its like.
            most: How many bytes of memory may wait, about; with more, the oldest lines are due at once.
        """
        self._seconds, self._most = seconds, most
        self._waiting: deque[_Group] = deque()
        self._numbers: dict[tuple[str, str], list[int]] = {}  # of the groups that wait, ascending
        self._groups: dict[int, _Group] = {}
        self._latest: dict[Source, int] = {}
        self._next = 1
        self._size = 0

    def feed(self, now: float, source: Source, text: str, kind: str = "line") -> None:
        """Take in a line."""
        numbers = self._numbers.setdefault((kind, text), [])
        place = bisect_right(numbers, self._latest.get(source, 0))
        if place < len(numbers):
            group = self._groups[numbers[place]]
        else:
            group = _Group(self._next, now, kind, text)
            self._next += 1
            self._size += group.cost
            numbers.append(group.number)
            self._groups[group.number] = group
            self._waiting.append(group)
        self._size -= group.cost
        group.sources.append(source)
        self._size += group.cost
        self._latest[source] = group.number

    def due(self, now: float) -> Iterator[Line]:
        """
        Give the lines that have waited long enough, in the order in which they first appeared.

        Each is taken out as it is given, so none is lost or out of order when a caller is cut short.
        """
        while self._waiting and (self._waiting[0].since + self._seconds <= now or self._size > self._most):
            group = self._waiting.popleft()
            self._numbers[group.key].pop(0)
            if not self._numbers[group.key]:
                del self._numbers[group.key]
            del self._groups[group.number]
            self._size -= group.cost
            yield Line(group.kind, group.text, tuple(group.sources))

    def next_due(self) -> float | None:
        """Tell when the next line is due; None when none waits."""
        return self._waiting[0].since + self._seconds if self._waiting else None


class Ticker:
    """Shows the lines of a window when they are due, though nothing more may come."""

    def __init__(
        self,
        window: Window,
        show: Callable[[Line], None],
        lock: threading.RLock,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Wrap a window; its thread starts with the first line.

        Args:
            show: Called with each line, in order, by one thread at a time.
            lock: Held whenever the window is used; callers hold it too.
        """
        self._window, self._show, self._clock = window, show, clock
        self._more = threading.Condition(lock)
        self._thread: threading.Thread | None = None

    def add(self, source: Source, text: str, kind: str = "line") -> None:
        """Take in a line, and show what is due."""
        with self._more:
            asleep = self._window.next_due() is None
            self._window.feed(self._clock(), source, text, kind)
            self._show_due(self._clock())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            if asleep:
                self._more.notify()

    def flush(self) -> None:
        """Show all that waits."""
        with self._more:
            self._show_due(float("inf"))

    def _show_due(self, now: float) -> None:
        for line in self._window.due(now):
            self._show(line)

    def _run(self) -> None:
        with self._more:
            while True:
                due = self._window.next_due()
                now = self._clock()
                if due is None or due > now:
                    self._more.wait(None if due is None else due - now)
                    continue
                try:
                    self._show_due(now)
                except OSError:
                    # The screen is gone; whoever brings the next line hears of it and can act.
                    self._more.wait()
