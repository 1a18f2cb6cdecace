# SPDX-License-Identifier: Apache-2.0
"""
The frames between a supervisor and whoever follows it: one JSON object a line, bytes after some.

A header with a ``bytes`` key is followed by that many raw bytes. The other direction is single
bytes (``GO``, ``STOP``, ``KILL``, ``DUMP`` stacks and stop; ``DETACH`` is for a follower only), so that going
costs one write.
Private to the collection.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, Tuple

GO, STOP, KILL, DUMP, DETACH = b"g", b"s", b"k", b"p", b"d"
MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 1 << 20

Frame = Tuple[Dict[str, Any], bytes]


class WireError(ValueError):
    """The peer sent something that is not a frame."""


def encode(header: Dict[str, Any], payload: bytes = b"") -> bytes:
    """Write one frame."""
    if payload:
        header = dict(header, bytes=len(payload))
    return json.dumps(header).encode() + b"\n" + payload


class Decoder:
    """Cut a byte stream into frames, however it arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """
        Take bytes and yield every frame that is complete.

        Raises:
            WireError: If a header is no JSON object, or a size is out of bounds.
        """
        self._buffer += data
        while True:
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > MAX_HEADER_BYTES:
                    raise WireError("header too long")
                return
            header = self._header(bytes(self._buffer[:end]))
            size = header.get("bytes", 0)
            if len(self._buffer) < end + 1 + size:
                return
            payload = bytes(self._buffer[end + 1 : end + 1 + size])
            del self._buffer[: end + 1 + size]
            yield header, payload

    @staticmethod
    def _header(line: bytes) -> Dict[str, Any]:
        try:
            header = json.loads(line)
        except ValueError as error:
            raise WireError("header is not JSON: %r" % line[:80]) from error
        size = header.get("bytes", 0) if isinstance(header, dict) else -1
        if not isinstance(size, int) or not 0 <= size <= MAX_PAYLOAD_BYTES:
            raise WireError("header is not a frame's: %r" % line[:80])
        return dict(header)
