# SPDX-License-Identifier: Apache-2.0
"""
The frames between a supervisor and its follower: one JSON object per line, with bytes after some.

A header with a ``bytes`` key is followed by that many raw bytes. The other direction consists of single bytes (``GO``,
``STOP``, ``KILL``, ``DUMP`` stacks and stop, ``END`` when there is nothing left to wait for; ``DETACH`` is for a
follower only), so that a start takes one write, and of messages between them, one line of JSON each. Private to the
collection.
"""

from __future__ import annotations

import json
import signal
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

GO, STOP, KILL, DUMP, END, DETACH = b"g", b"s", b"k", b"p", b"e", b"d"
# How long a stop waits for a run to end gracefully before it kills what is left.
STOP_SECONDS = 45.0
# The same orders as signals, for use without a channel to a supervisor.
SIGNALS = {
    STOP: signal.SIGTERM,
    DUMP: signal.SIGUSR1,
    KILL: signal.SIGUSR2,
    END: signal.SIGWINCH,  # a process that does not expect it ignores it
}
MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 1 << 20

Frame = Tuple[Dict[str, Any], bytes]


class WireError(ValueError):
    """The peer sent something that is not a frame."""


def encode(header: Dict[str, Any], payload: bytes = b"") -> bytes:
    """Return one frame as bytes."""
    if payload:
        header = dict(header, bytes=len(payload))
    return json.dumps(header).encode() + b"\n" + payload


class Decoder:
    """Cuts a byte stream into frames, in whatever pieces it arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        # The header of the next frame, and how far its end was searched for, so that neither step is repeated.
        self._next: Optional[Dict[str, Any]] = None
        self._begin = self._seen = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """
        Take bytes and yield every frame that is complete.

        Raises:
            WireError: If a header is not a JSON object, or a size is out of bounds.
        """
        self._buffer += data
        while True:
            header = self._next if self._next is not None else self._take_header()
            self._next = header
            if header is None:
                return
            end = self._begin + header.get("bytes", 0)
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[self._begin : end])
            del self._buffer[:end]
            self._next, self._seen = None, 0
            yield header, payload

    def _take_header(self) -> Optional[Dict[str, Any]]:
        end = self._buffer.find(b"\n", self._seen)
        self._seen = len(self._buffer)
        if end > MAX_HEADER_BYTES or end < 0 and self._seen > MAX_HEADER_BYTES:
            raise WireError("header too long")
        if end < 0:
            return None
        self._begin = end + 1
        line = bytes(self._buffer[:end])
        header = parse(line)
        size = header.get("bytes", 0)
        if type(size) is not int or not 0 <= size <= MAX_PAYLOAD_BYTES:
            raise WireError("invalid header of a frame: %r" % line[:80])
        return header

    @property
    def rest(self) -> bytes:
        """The bytes that arrived after the last complete frame."""
        return bytes(self._buffer)


def parse(line: Union[bytes, str]) -> Dict[str, Any]:
    """
    Parse one untrusted JSON object.

    Raises:
        WireError: If it is something else, or nested too deeply to be parsed.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WireError("not JSON: %r" % line[:80]) from error
    if not isinstance(found, dict):
        raise WireError("not a JSON object: %r" % line[:80])
    return found


def parse_or_none(line: Union[bytes, str]) -> Optional[Dict[str, Any]]:
    """Parse one JSON object, or return None if it is something else."""
    try:
        return parse(line)
    except WireError:
        return None


class Orders:
    """Cuts what comes from a follower into orders and messages, in whatever pieces it arrives."""

    def __init__(self) -> None:
        self._message = b""

    def feed(self, data: bytes) -> Tuple[bytes, List[Dict[str, Any]]]:
        """Take bytes, and return the orders and every message that is complete."""
        orders, messages = b"", []
        for number, piece in enumerate(data.split(b"\n")):
            if number and self._message:
                messages.append(self._message)
                self._message = b""
            begin = 0 if self._message else piece.find(b"{")
            orders += piece if begin < 0 else piece[:begin]
            self._message += b"" if begin < 0 else piece[begin:]
        if len(self._message) > MAX_HEADER_BYTES:
            self._message = b""
        return orders, [parsed for parsed in map(parse_or_none, messages) if parsed is not None]
