# SPDX-License-Identifier: Apache-2.0
"""
The table of times beside a log: when each part of it was written. Delivered beside the supervisor; private.

A line, ``TIME OFFSET``, begins each second in which output was written. If a table gets too long, every other line of
its older half is removed; the line before it, ``TIME OFFSET SECONDS``, then says how many seconds later the end of its
part was written. So the table is exact for the last hours, and coarser the older the output is. A job can write
anything to this file, so invalid lines are skipped.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import Deque, Iterator, NamedTuple, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._node import small_files

SUFFIX = ".times"
MOST_BYTES = 1 << 21  # 22 hours of output in every second
_BLOCK = 1 << 16
_LAST_SECOND, _LAST_OFFSET = 1 << 33, 1 << 62
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class Entry(NamedTuple):
    """A part of a log begins at ``offset``; it was written at ``at`` and within this many seconds after that."""

    at: float
    offset: int
    more: int = 0

    @property
    def until(self) -> int:
        """The last second in which some of it may have been written."""
        return int(self.at) + self.more

    def line(self) -> bytes:
        """Format it as a line of the table."""
        words = b"%.3f %d" % (self.at, self.offset)
        return words + (b" %d\n" % self.more if self.more else b"\n")


class Writer:
    """The table of one log, as its supervisor writes it."""

    def __init__(self, log: str) -> None:
        """Begin; ``log`` is the path of the log's first segment."""
        self._path = log + SUFFIX
        self._second = -1

    def note(self, now: float, offset: int) -> None:
        """Record when the next bytes are written, once per second; if that fails, only this time is unknown."""
        if int(now) == self._second:
            return
        self._second = int(now)
        with contextlib.suppress(OSError):
            # Descriptors are scarce if there are many ranks, so the file is not kept open.
            table = small_files.opened(self._path, _APPEND)
            try:
                os.write(table, Entry(now, offset).line())
                is_long = os.fstat(table).st_size > MOST_BYTES
            finally:
                os.close(table)
            if is_long:
                self._thin()

    def _thin(self) -> None:
        data = small_files.read(self._path, 2 * MOST_BYTES)
        half = data.find(b"\n", len(data) // 2) + 1
        older = list(_parsed(data[:half]))
        if len(older) % 2:
            older.append(older[-1])
        pairs = zip(older[::2], older[1::2])
        thinned = [first._replace(more=max(0, second.until - int(first.at))).line() for first, second in pairs]
        partial = self._path + ".partial"
        with os.fdopen(small_files.opened(partial, _APPEND | os.O_TRUNC), "wb") as stream:
            stream.write(b"".join(thinned) + data[half:])
        os.replace(partial, self._path)


class Table:
    """The table of one log for a reader, which reads the log forwards while more is written."""

    def __init__(self, log: str) -> None:
        self._path = log + SUFFIX
        self._entries: Deque[Entry] = deque()
        self._inode, self._position = -1, 0

    def at(self, offset: int) -> Tuple[Optional[float], Optional[int]]:
        """
        Return when a byte was written, in seconds of the node's clock, and where a later part begins; None if unknown.

        Args:
            offset: Not less than in the previous call.
        """
        known = self._entries
        while len(known) < 2 or known[1].offset <= offset:
            if len(known) > 1:
                known.popleft()
            elif not self._read():
                break
        if not known or known[0].offset > offset:
            return None, known[0].offset if known else None
        return known[0].at, known[1].offset if len(known) > 1 else None

    def _read(self) -> bool:
        """Read some more lines, and return whether there may be others."""
        with contextlib.suppress(OSError), os.fdopen(small_files.opened(self._path), "rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_ino != self._inode:  # It is new, or was thinned: lines that were read before come again.
                self._inode, self._position = status.st_ino, _begin(status.st_size)
            stream.seek(self._position)
            data = stream.read(_BLOCK)
            size = _whole_lines(data)
            self._position += size
            for entry in _parsed(data[:size]):
                if not self._entries or entry.offset > self._entries[-1].offset:
                    self._entries.append(entry)
            return size > 0
        return False


def entries(path: str) -> Iterator[Entry]:
    """
    Yield the entries of a table, oldest first; of one that is longer than ours can be, only the end.

    Raises:
        OSError: If it cannot be read.
    """
    with os.fdopen(small_files.opened(path), "rb") as stream:
        position = _begin(os.fstat(stream.fileno()).st_size)
        while True:
            stream.seek(position)
            data = stream.read(_BLOCK)
            size = _whole_lines(data)
            if not size:
                return
            position += size
            yield from _parsed(data[:size])


def offset_at(log: str, seconds: float) -> Optional[int]:
    """
    Return the offset of the output written in a given second or next; None if there is none, 0 if unknown.

    Args:
        log: The path of its first segment.
        seconds: A time of the node's clock.
    """
    found: Optional[int] = 0
    with contextlib.suppress(OSError):
        for entry in entries(log + SUFFIX):
            if entry.until >= int(seconds):
                return entry.offset
            found = None
    return found


def _begin(size: int) -> int:
    return max(0, size - 2 * MOST_BYTES)


def _whole_lines(data: bytes) -> int:
    """Return how much of a block to take: whole lines, or all of it if no line of ours could be that long."""
    return data.rfind(b"\n") + 1 or len(data) // _BLOCK * _BLOCK


def _parsed(data: bytes) -> Iterator[Entry]:
    for line in data.splitlines():
        words = line.split()
        try:
            entry = Entry(float(words[0]), int(words[1]), int(words[2]) if len(words) > 2 else 0)
        except (ValueError, IndexError):
            continue
        if 0 <= entry.at < _LAST_SECOND and 0 <= entry.offset < _LAST_OFFSET and 0 <= entry.more < _LAST_SECOND:
            yield entry
