# SPDX-License-Identifier: Apache-2.0
"""
Read and write logs of raw output on a node, as segments. Delivered beside the supervisor; private to the collection.

A log ``rank-0.out`` begins in the file of that name and continues in ``rank-0.out.N``, where N is the offset of the
file's first byte in the log. Only the newest segments are kept. A file beside them, ``rank-0.out.times``, says when
each part was written; see ``log_times``.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Dict, List, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import log_times, small_files

CHUNK = 1 << 18  # bytes at a time
SEGMENTS = 4

_NAME = re.compile(r"(?P<log>%s)(?:\.(?P<offset>\d{1,18}))?\Z" % run_directory.LOG_NAME.pattern, re.ASCII)

Segment = Tuple[int, str]  # offset of its first byte, path


def segments(directory: str) -> Dict[str, List[Segment]]:
    """Return the segments of every log in a directory, oldest first."""
    found: Dict[str, List[Segment]] = {}
    try:
        files = os.listdir(directory)
    except OSError:
        return {}
    for match in filter(None, map(_NAME.match, files)):
        path = os.path.join(directory, match.group())
        if small_files.is_regular(path):
            found.setdefault(match["log"], []).append((int(match["offset"] or 0), path))
    return {name: sorted(parts) for name, parts in sorted(found.items())}


def read(parts: List[Segment], offset: int, size: int = CHUNK) -> Tuple[int, bytes]:
    """
    Read a log from a byte offset.

    Returns:
        The offset of the data, which is larger than requested if the beginning was dropped, and the data.
    """
    for (start, path), (end, _) in zip(parts, [*parts[1:], (None, "")]):
        if end is not None and offset >= end:
            continue
        offset = max(offset, start)
        try:
            with os.fdopen(small_files.opened(path), "rb", buffering=0) as stream:
                stream.seek(offset - start)
                data = stream.read(size if end is None else min(size, end - offset))
        except OSError:
            continue  # It was just dropped, or was not written by a supervisor.
        if data or end is None:
            return offset, data
        offset = end  # The disk was full, and the segment is shorter than it should be.
    return offset, b""


def end(parts: List[Segment]) -> int:
    """Return the offset where a log currently ends."""
    start, path = parts[-1]
    with contextlib.suppress(OSError):
        start += os.lstat(path).st_size
    return start


def offset_of_last(parts: List[Segment], lines: int) -> int:
    """
    Return the offset of the last lines of a log, reading backwards from its end.

    Args:
        lines: How many lines; a last line without a newline counts.
    """
    last = end(parts)
    found, newest = 0, True
    for number in reversed(range(len(parts) if lines else 0)):
        start = parts[number][0]
        at = end(parts[: number + 1])
        if number + 1 < len(parts):
            at = min(at, parts[number + 1][0])
        while at > start:
            at, before = max(start, at - CHUNK), at
            _, data = read(parts, at, before - at)
            # A newline at the very end ends the last line, and does not begin another one.
            place = len(data) - 1 if newest and data.endswith(b"\n") else len(data)
            newest = newest and not data
            while found < lines and place >= 0:
                place = data.rfind(b"\n", 0, place)
                found += place >= 0
            if found == lines:
                return at + place + 1
    return parts[0][0] if lines else last


class Log:
    """A log to write; a full disk loses lines, but never ends the job."""

    def __init__(self, directory: str, name: str, cap: int) -> None:
        """
        Begin a log.

        Args:
            cap: How many bytes of it to keep, the newest ones.
        """
        self.name = name
        self.size = self.lost = 0
        self._path = os.path.join(directory, name)
        self._segment = max(1, cap // SEGMENTS)
        self.parts: List[Segment] = [(0, self._path)]
        self._file = self._open(self._path)
        self._times = log_times.Writer(self._path)

    @staticmethod
    def _open(path: str) -> int:
        try:
            return small_files.opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        except OSError:
            return -1  # No room for another file: writing to it fails, too, and is counted.

    def append(self, data: bytes) -> None:
        """Write what fits on the disk, and drop the oldest segment if the cap is reached."""
        self._times.note(time.time(), self.size)
        if self._file < 0:
            self._file = self._open(self.parts[-1][1])
        try:
            if self.size - self.parts[-1][0] >= self._segment:
                self._rotate()
            written = os.write(self._file, data)
        except OSError:
            written = 0
        self.size += written
        self.lost += len(data) - written

    def _rotate(self) -> None:
        path = "%s.%d" % (self._path, self.size)
        fresh = self._open(path)
        if fresh < 0:
            return  # A segment that is too long is better than none.
        if self._file >= 0:
            os.close(self._file)
        self._file = fresh
        self.parts.append((self.size, path))
        if len(self.parts) > SEGMENTS:
            small_files.remove(self.parts.pop(0)[1])
