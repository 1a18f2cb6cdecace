# SPDX-License-Identifier: Apache-2.0
"""
The job's lines on their way to the screen: cut out of bytes, made harmless, folded over ranks.

All of it is pure but the Ticker at the end, which has a clock and a thread.
"""

from __future__ import annotations

import re
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from madctl.masking import Mask

LONGEST = 64 * 1024
CUT = " …"
_SHOWN = {"\t"}
_LABEL = 40

Source = tuple[str, str]  # host, and rank or nothing


def fold(hosts: Sequence[str]) -> str:
    """Write many names as a short list; addresses with colons are nothing that can be folded."""
    from ClusterShell.NodeSet import NodeSet

    # ClusterShell gives a meaning to other characters: "a!b" would lose its half.
    if len(hosts) < 2 or not all(re.fullmatch(r"[\w.-]+", host) for host in hosts):
        return ",".join(hosts)
    return str(NodeSet.fromlist(hosts))


def harmless(line: bytes) -> str:
    """Write a line so that no byte of it can move a terminal's cursor or change its state."""
    text = line.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    text = text.rstrip("\r").rpartition("\r")[2]
    return "".join(c if c.isprintable() or c in _SHOWN else c.encode("unicode_escape").decode() for c in text)


def split(rest: bytes, data: bytes, mask: Mask, longest: int = LONGEST) -> tuple[list[bytes], bytes]:
    """
    Cut lines out of a log.

    Args:
        rest: What the last call left.
        data: What came since.
        mask: What must not be cut in two.
        longest: What is longer is given in pieces, each but the last with a mark at its end.

    Returns:
        The lines, and what may go on; that is never much longer than ``longest``, whatever comes.
    """
    *lines, rest = (rest + data).split(b"\n")
    found: list[bytes] = []
    for line in lines:
        if len(line) <= longest:
            found.append(line)
            continue
        pieces, last = _pieces(line, mask, longest, longest)
        found += [*pieces, last] if last or not pieces else pieces
    # A secret that has begun to appear behind the cut has to be there as a whole to be seen.
    pieces, rest = _pieces(rest, mask, longest, longest + mask.longest)
    return found + pieces, rest


class Logs:
    """Cuts all logs of a run into lines that can be shown, and knows what no newline has ended yet."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._rests: dict[tuple[str, str], bytes] = {}

    def feed(self, host: str, log: str, data: bytes) -> list[str]:
        """Take in what a log has grown by, and give the lines that ended."""
        lines, self._rests[host, log] = split(self._rests.get((host, log), b""), data, self._mask)
        return [harmless(self._mask.line(line)) for line in lines]

    def end(self, host: str | None = None, log: str | None = None) -> list[tuple[str, str, str]]:
        """Give up the ends of all logs, or of some, each as its host, name and text."""
        found = [key for key in self._rests if host in (None, key[0]) and log in (None, key[1])]
        ends = [(*key, self._rests.pop(key)) for key in found]
        return [(owner, name, harmless(self._mask.line(rest))) for owner, name, rest in ends if rest]


def _pieces(line: bytes, mask: Mask, longest: int, limit: int) -> tuple[list[bytes], bytes]:
    pieces = []
    if len(line) > limit:
        line = _last_state(line)
    while len(line) > limit:
        at = longest
        while at > longest - 4 and line[at] & 0xC0 == 0x80:  # in the midst of a character
            at -= 1
        at = mask.cut(line, at)
        pieces.append(line[:at] + CUT.encode())
        line = line[at:]
    return pieces, line


def _last_state(line: bytes) -> bytes:
    """Leave out what a progress bar has overwritten."""
    shown = line.rstrip(b"\r")
    return shown.rpartition(b"\r")[2] + line[len(shown) :][:1]


def shortened(text: str, longest: int) -> str:
    """Cut a text that is too long."""
    return text if len(text) <= longest else text[:longest] + CUT


def excerpt(text: str, most: int, longest: int) -> list[str]:
    """Give the first lines of a text of unknown origin, and say how many more there are."""
    lines = [line.encode("utf-8", "backslashreplace") for line in text.strip("\n").splitlines()]
    shown = [shortened(harmless(line), longest) for line in lines[: most if len(lines) <= most else most - 1]]
    return shown + [f"… {len(lines) - len(shown)} more lines"] * (len(lines) > most)


def victims_line(ranks: Mapping[str, int]) -> str:
    """Say how many ranks of which hosts lost their peer; nothing where none did."""
    hosts = [host for host, count in ranks.items() if count]
    count = sum(ranks[host] for host in hosts)
    words = "1 rank then lost its peer" if count == 1 else f"{count} ranks then lost their peer"
    return f"{fold(hosts)}: {words}" if hosts else ""


def size(count: float) -> str:
    """Write a number of bytes for a person."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


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
        if self.kind == "suspect":
            return f"{fold(self.hosts)} do{'' if many else 'es'} not answer; the run goes on, trying again"
        return f"{fold(self.hosts)} {'are' if many else 'is'} back" if self.kind == "back" else ""


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
