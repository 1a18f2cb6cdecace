# SPDX-License-Identifier: Apache-2.0
"""
Read the files that nodes lack, once for all nodes that lack the same, as the pieces that ``receiving`` expects.

Private to the collection.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from typing import Any, Dict, Iterator, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest
from ansible_collections.madctl.multinode.plugins.module_utils._sync import reading, receiving

_READ = 1 << 18
# How many pieces a reader may be ahead of the slowest: 32 MiB.
_AHEAD = 128
# If its beginning hardly compresses, the rest is not expected to either.
_TRIED, _WORTH = 1 << 14, 0.9


def manifest_of(tree: reading.Tree) -> bytes:
    """Serialise a tree's manifest as ``receiving`` expects it."""
    return b"%08x%s" % (len(tree.data), tree.data)


def stream(tree: reading.Tree) -> bytes:
    """
    Write everything that ``storing`` needs on a node that has no file of a tree yet.

    Raises:
        Refused: If a file has changed.
    """
    first: Dict[str, int] = {}
    for number, entry in enumerate(tree.entries):
        if entry.kind == manifest.FILE:
            first.setdefault(entry.content, number)
    return b"".join([manifest_of(tree), *map(_packed, _joined(tree, sorted(first.values())))])


class Source:
    """
    The pieces of some files of a tree, for several readers.

    A piece is dropped once all readers have taken it. To limit memory, no reader gets far ahead of the slowest.
    """

    def __init__(self, tree: reading.Tree, numbers: Sequence[int]) -> None:
        self._content = _joined(tree, numbers)
        self._pieces: List[bytes] = []
        self._first = 0
        self._readers: Dict[Any, int] = {}
        self._is_whole = False
        # Whether a reader has to wait for others.
        self.is_held = False

    @property
    def is_at_its_beginning(self) -> bool:
        """Whether another reader can still join."""
        return not self._first

    def join(self, reader: Any) -> None:
        """Read from the first piece on."""
        self._readers[reader] = 0

    def leave(self, reader: Any) -> None:
        """Read no more."""
        self._readers.pop(reader, None)
        self._forget()

    def next_for(self, reader: Any) -> Optional[bytes]:
        """
        Return a reader's next piece, None if it has to wait for others, or has all.

        Raises:
            Refused: If a file has changed.
        """
        at = self._readers[reader] - self._first
        if at == len(self._pieces) and not self._is_whole:
            self.is_held = at >= _AHEAD
            content = None if self.is_held else next(self._content, None)
            if content is not None:
                self._pieces.append(_packed(content))
            elif not self.is_held:
                self._is_whole = True
        if at == len(self._pieces):
            return None
        self._readers[reader] += 1
        piece = self._pieces[at]
        self._forget()
        return piece

    def _forget(self) -> None:
        slowest = min(self._readers.values(), default=self._first)
        if slowest > self._first:
            del self._pieces[: slowest - self._first]
            self._first = slowest
            self.is_held = False


def _joined(tree: reading.Tree, numbers: Sequence[int]) -> Iterator[bytes]:
    """Yield the content of files, one after the other, in equal pieces."""
    held = bytearray()
    for number in numbers:
        for data in content(tree, number):
            held += data
            while len(held) >= receiving.PIECE:
                yield bytes(held[: receiving.PIECE])
                del held[: receiving.PIECE]
    if held:
        yield bytes(held)


def content(tree: reading.Tree, number: int) -> Iterator[bytes]:
    """
    Read a file that must be unchanged since it was hashed.

    Raises:
        Refused: If it has changed.
    """
    entry, known = tree.entries[number], tree.looks[number]
    digest, left = hashlib.sha256(), entry.size
    with os.fdopen(reading.opened(tree.root, entry.path, known), "rb", buffering=0) as stream:
        while left:
            try:
                data = stream.read(min(left, _READ))
            except OSError as error:
                raise reading.unreadable(tree.root, entry.path, error) from error
            if not data:
                break
            left -= len(data)
            digest.update(data)
            yield data
        reading.require_same(tree.root, entry.path, stream.fileno(), known)
    if digest.hexdigest() != entry.content:
        raise reading.changed(tree.root, entry.path)


def _packed(content: bytes) -> bytes:
    """Return a piece in the form in which it is sent, compressed if that pays."""
    kind, data = receiving.RAW, content
    if len(zlib.compress(content[:_TRIED], 1)) < _WORTH * len(content[:_TRIED]):
        packed = zlib.compress(content, 1)
        if len(packed) < _WORTH * len(content):
            kind, data = receiving.PACKED, packed
    return b"%s%08x%s" % (kind, len(data), data)
