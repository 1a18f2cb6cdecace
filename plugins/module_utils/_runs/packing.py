# SPDX-License-Identifier: Apache-2.0
"""
Pack a run directory, and define what an archive may contain. Private to the collection.

Empty files and directories are not packed. A job can leave anything in its directory: entries that cannot be read, or
do not fit into an archive, are left out and counted.
"""

from __future__ import annotations

import itertools
import os
import stat
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Tuple, Union

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire

ENTRIES, DEPTH = 100000, 64
PART_BYTES, NAME_BYTES = 255, 2048
LAST_SECOND = 1 << 33
# How many of the left-out entries are named.
NAMED = 3
_PIECE = 1 << 18
# Characters of a name that cannot be printed unchanged; a name may have 255 bytes.
_SPELLED = 60


def packed(run_dir: str, without: Iterable[Union[str, bytes]] = ()) -> Iterator[bytes]:
    """
    Yield the frames of an archive of files and directories, and nothing else.

    Args:
        without: Paths below the directory to leave out; the same names elsewhere are the job's.
    """
    root = os.fsencode(run_dir)
    packing = _Packing(frozenset(os.path.join(root, os.fsencode(path)) for path in without))
    yield from packing.directory(root, "")
    left_out = {"left_out": packing.count, "names": packing.names} if packing.count else {}
    yield wire.encode({"end": True, **left_out})


def is_name(name: Any) -> bool:
    """Return whether a name is that of a file below the directory, and safe for a terminal."""
    if not isinstance(name, str) or not name.isprintable() or len(name.encode()) > NAME_BYTES:
        return False
    parts = name.split("/")
    good = (part not in ("", ".", "..") and len(part.encode()) <= PART_BYTES for part in parts)
    return len(parts) <= DEPTH and all(good)


class _Packing:
    """The size packed so far, and the entries that were left out: how many, and the first names."""

    def __init__(self, without: FrozenSet[bytes]) -> None:
        self._without = without
        self._entries = self.count = 0
        self.names: List[str] = []

    def directory(self, path: bytes, prefix: str) -> Iterator[bytes]:
        """Pack the contents of a directory; files of a living run may disappear at any moment."""
        wanted = (entry for entry in os.listdir(path) if os.path.join(path, entry) not in self._without)
        for name, entry in _spelled(sorted(wanted)):
            try:
                yield from self._entry(os.path.join(path, entry), prefix + name)
            except FileNotFoundError:
                pass
            except OSError:
                self._leave_out(prefix + name)

    def _entry(self, path: bytes, name: str) -> Iterator[bytes]:
        mode = os.lstat(path).st_mode
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            return
        if self._entries >= ENTRIES or not is_name(name):
            self._leave_out(name)
        elif stat.S_ISDIR(mode):
            os.listdir(path)  # An unreadable directory is left out as a whole.
            yield from self._filled(name, self.directory(path, name + "/"))
        else:
            yield from self._file(path, name)

    def _filled(self, name: str, content: Iterator[bytes]) -> Iterator[bytes]:
        """Begin a directory before the first entry in it; an empty one is useless."""
        self._entries += 1
        for first in content:
            yield wire.encode({"directory": name})
            yield first
            yield from content
            return
        self._entries -= 1

    def _file(self, path: bytes, name: str) -> Iterator[bytes]:
        # The job may just have replaced the file with a pipe that has no writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as stream:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_size:
                yield self._begin({"file": name, "time": min(max(0.0, status.st_mtime), LAST_SECOND - 1.0)})
                for data in iter(lambda: stream.read(_PIECE), b""):
                    yield wire.encode({}, data)

    def _begin(self, header: Dict[str, Any]) -> bytes:
        self._entries += 1
        return wire.encode(header)

    def _leave_out(self, name: str) -> None:
        self.count += 1
        if len(self.names) < NAMED:
            self.names.append(name[:PART_BYTES])


def _spelled(entries: Iterable[bytes]) -> List[Tuple[str, bytes]]:
    """Name files uniquely, with names that are safe for a terminal."""
    plain, odd = {}, []
    for entry in entries:
        text = entry.decode("utf-8", "backslashreplace")
        if text.isprintable() and text.encode() == entry:
            plain[text] = entry
        else:
            odd.append((text, entry))
    numbers: Dict[str, Iterator[int]] = {}
    for text, entry in odd:
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)[:_SPELLED]
        # Many names may begin alike, so each prefix has its own counter.
        names = (shown + ("~%d" % n if n else "") for n in numbers.setdefault(shown, itertools.count()))
        plain[next(name for name in names if name not in plain)] = entry
    return sorted(plain.items())
