# SPDX-License-Identifier: Apache-2.0
"""Receive what ``packing`` sends, on the standard input of a call. Private to the collection."""

from __future__ import annotations

import hashlib
import os
import zlib
from typing import Any, Callable, Dict, Iterator, List

from ansible_collections.madctl.multinode.plugins.module_utils._common.manifest import Entry
from ansible_collections.madctl.multinode.plugins.module_utils._node import trees

PIECE = 1 << 18
RAW, PACKED = b"r", b"z"

Tell = Callable[[Dict[str, Any]], None]


def mode(entry: Entry) -> int:
    """Return the permissions of a kept file: it is never changed."""
    return 0o555 if entry.mode & 0o111 else 0o444


def taken(count: int) -> bytes:
    """
    Return the next bytes of the input.

    Raises:
        EOFError: If it ends earlier.
    """
    data = bytearray()
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            raise EOFError("it ends in the middle")
        data += piece
    return bytes(data)


def size(most: int) -> int:
    """Return the size of the next part of the input."""
    found = int(taken(8), 16)
    if found > most:
        raise OSError("a part is too long: %d bytes" % found)
    return found


def _piece() -> bytes:
    kind, data = taken(1), taken(size(PIECE))
    if kind == RAW:
        return data
    engine = zlib.decompressobj()
    found = engine.decompress(data, PIECE)
    if kind != PACKED or not engine.eof:
        raise OSError("a piece is malformed")
    return found


def receive(files: bytes, wanted: List[Entry], tell: Tell) -> None:
    """
    Write the files that are received, and compare each with the manifest.

    Raises:
        OSError: If one does not match the manifest, or cannot be written.
    """
    source = _Pieces(tell)
    for entry in wanted:
        path = os.path.join(files, entry.path)
        descriptor, found = trees.create(path), hashlib.sha256()
        try:
            for data in source.take(entry.size):
                found.update(data)
                while data:
                    data = data[os.write(descriptor, data) :]
            os.fchmod(descriptor, mode(entry))
        finally:
            os.close(descriptor)
        if found.hexdigest() != entry.content:
            raise OSError("%a arrived damaged" % entry.path)


class _Pieces:
    """The input in portions of any wanted size; a piece may end anywhere."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._rest, self._count = tell, memoryview(b""), 0

    def take(self, count: int) -> Iterator[memoryview]:
        while count:
            if not self._rest:
                self._rest = memoryview(_piece())
                self._count += 1
                self._tell({"taken": self._count})
            found, self._rest = self._rest[:count], self._rest[count:]
            count -= len(found)
            yield found
