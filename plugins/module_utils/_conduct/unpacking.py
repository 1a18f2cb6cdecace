# SPDX-License-Identifier: Apache-2.0
"""
Write the files that a node packed. A node may send anything, and is not trusted with paths on this machine.

An archive is a gzip stream of frames: ``{"directory": NAME}``, ``{"file": NAME, "time": SECONDS}`` and that
file's bytes, ``{"end": true}``, with ``left_out`` and ``names`` if the node left something out. It cannot
express links, devices, owners or modes, and every name is new, in a directory that the same archive made.
"""

from __future__ import annotations

import os
import zlib
from typing import Any, Callable, Dict, Iterator, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import fields, listed, text, whole
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.channel import PIECE
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._runs import packing


def _is_shown(value: Any) -> bool:
    return _text(value) and value.isprintable()


_text = text(packing.PART_BYTES)
_ending = fields({"end": lambda value: value is True, "left_out": whole(1), "names": listed(_is_shown, packing.NAMED)})


def unpack(read: Callable[[], bytes], directory: str, size: int) -> Optional[str]:
    """
    Write an archive into a directory that is new, empty and accessible to this user only.

    Args:
        read: Returns the next bytes of the archive, none at its end.
        directory: Left as it is when the archive is refused.
        size: How many bytes all files may have together.

    Returns:
        What the node left out of it; None if it is complete.

    Raises:
        Refused: If this is not an archive, or has forbidden content.
    """
    files = _Files(directory, size)
    try:
        for header, payload in _frames(read, size):
            files.take(header, payload)
    except (OSError, wire.WireError) as error:
        raise Refused(reason(error, is_named=True)) from error
    finally:
        files.close()
    if not files.ended:
        raise Refused("it ends in the middle")
    return files.left_out


def _frames(read: Callable[[], bytes], size: int) -> Iterator[wire.Frame]:
    decoder = wire.Decoder()
    for piece in _inflated(read, size):
        yield from decoder.feed(piece)
    if decoder.rest:
        raise Refused("it ends in the middle")


def _inflated(read: Callable[[], bytes], size: int) -> Iterator[bytes]:
    """Yield pieces of bounded size, whatever the ratio of compression."""
    engine, taken = zlib.decompressobj(wbits=31), 0
    try:
        while not engine.eof:
            data = engine.unconsumed_tail or read()
            piece = engine.decompress(data, PIECE)
            if not data and not piece:
                raise Refused("it ends in the middle")
            taken += len(data) - len(engine.unconsumed_tail)
            if taken > size + packing.ENTRIES * packing.NAME_BYTES:
                raise Refused("it is larger than the files it may hold")
            yield piece
    except zlib.error as error:
        raise Refused("it is not a gzip stream: %s" % error) from error
    if engine.unused_data or read():
        raise Refused("something comes after its end")


class _Files:
    """The files written so far."""

    def __init__(self, directory: str, size: int) -> None:
        self.ended = False
        self.left_out: Optional[str] = None
        self._directory, self._size = directory, size
        self._entries = self._bytes = 0
        self._open: Optional[int] = None
        self._time = 0.0

    def take(self, header: Dict[str, Any], payload: bytes) -> None:
        keys = set(header)
        if self.ended:
            raise Refused("something comes after its end")
        if keys == {"bytes"} and self._open is not None:
            self._more(payload)
        elif keys == {"directory"}:
            self.close()
            os.mkdir(self._path(header["directory"]), 0o700)
        elif keys == {"file", "time"}:
            self.close()
            self._begin(header["file"], header["time"])
        elif header == {"end": True}:
            self.ended = True
        elif keys == {"end", "left_out", "names"} and _ending(header):
            self.ended = True
            self.left_out = "%d left out: %s" % (header["left_out"], ", ".join(header["names"]))
        else:
            raise Refused("it holds something that is neither a file nor a directory")

    def close(self) -> None:
        """Close the open file."""
        if self._open is not None:
            descriptor, self._open = self._open, None
            try:
                os.utime(descriptor, (self._time, self._time))
            finally:
                os.close(descriptor)

    def _begin(self, name: Any, time: Any) -> None:
        if type(time) not in (int, float) or not 0 <= time < packing.LAST_SECOND:
            raise Refused("it holds a file without a valid time")
        self._time = float(time)
        # An existing file is refused, and so is a missing parent or one that is a file, so no name leads elsewhere.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._open = os.open(self._path(name), flags, 0o600)

    def _more(self, payload: bytes) -> None:
        assert self._open is not None
        self._bytes += len(payload)
        if self._bytes > self._size:
            raise Refused("it holds more than %d bytes" % self._size)
        while payload:
            payload = payload[os.write(self._open, payload) :]

    def _path(self, name: Any) -> str:
        self._entries += 1
        if self._entries > packing.ENTRIES:
            raise Refused("it holds more than %d files" % packing.ENTRIES)
        if not packing.is_name(name):
            raise Refused("it holds an invalid name: %s" % ascii(name)[:80])
        return os.path.join(self._directory, name)
