# SPDX-License-Identifier: Apache-2.0
"""Sort lines of many logs by time in little memory: sorted parts go to an unnamed temporary file."""

from __future__ import annotations

import heapq
import json
import os
import tempfile
from collections.abc import Iterator
from itertools import islice
from typing import IO, NamedTuple

_MOST_BYTES = 1 << 25  # of lines in memory
_LINE_BYTES = 300  # approximate memory of a line's objects
_BLOCK = 1 << 16


class LogLine(NamedTuple):
    """One line of a log; ``at`` is in seconds of this machine's clock, 0 if it is unknown."""

    at: float
    host: str
    rank: str  # empty for output of a runner
    stream: str
    text: str


_Numbered = tuple[float, int, LogLine]


class Merger:
    """Takes lines, those of each log sorted by time, and returns all of them sorted by time."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most, self._size, self._count = most_bytes, 0, 0
        self._lines: list[_Numbered] = []
        self._file: IO[bytes] | None = None
        self._parts: list[tuple[int, int]] = []

    def add(self, line: LogLine) -> None:
        """Take one line."""
        self._lines.append((line.at, self._count, line))
        self._count += 1
        self._size += _LINE_BYTES + len(line.text)
        if self._size > self._most:
            self._spool()

    def merged(self, last: int | None = None) -> Iterator[LogLine]:
        """Yield all lines in order, or only the last ones."""
        parts = [self._read(begin, end) for begin, end in self._parts]
        ordered = heapq.merge(*parts, sorted(self._lines))
        skipped = 0 if last is None else max(0, self._count - last)
        return (line for _, _, line in islice(ordered, skipped, None))

    def _spool(self) -> None:
        self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115  it is closed with this object
        begin = self._file.tell()
        self._file.writelines(json.dumps((number, *line)).encode() + b"\n" for _, number, line in sorted(self._lines))
        self._file.flush()
        self._parts.append((begin, self._file.tell()))
        self._lines, self._size = [], 0

    def _read(self, begin: int, end: int) -> Iterator[_Numbered]:
        assert self._file is not None
        rest = b""
        while begin < end:
            data = os.pread(self._file.fileno(), min(_BLOCK, end - begin), begin)
            if not data:
                raise OSError(f"a temporary file in {tempfile.gettempdir()} was cut short")
            begin += len(data)
            *whole, rest = (rest + data).split(b"\n")
            for number, *fields in map(json.loads, whole):
                line = LogLine(*fields)
                yield line.at, number, line
