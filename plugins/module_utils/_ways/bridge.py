# SPDX-License-Identifier: Apache-2.0
"""
Carry the bytes of a local socket over a sealed connection, in both directions.

Both ends of a dialled channel use this. If one side does not accept data, the other has to wait. Private to the
collection.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Callable, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import sealed, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop

_WAITING_BYTES = 1 << 20
# A peer that has lost power is noticed as early as over any other way.
SILENCE_SECONDS = 12.0
_ALIVE_SECONDS, _ALIVE_TIMES = 3, 4


def keep_alive(link: socket.socket) -> None:
    """Have the kernel notice a dead peer within seconds, whether or not data is sent to it."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # The names differ between systems, and agents run on Linux.
    for name, value in (
        ("TCP_KEEPIDLE", _ALIVE_SECONDS),
        ("TCP_KEEPINTVL", _ALIVE_SECONDS),
        ("TCP_KEEPCNT", _ALIVE_TIMES),
        ("TCP_USER_TIMEOUT", int(SILENCE_SECONDS * 1000)),
    ):
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Bridge:
    """One channel; when either side ends, or the peer sends data that is not authentic, both are closed."""

    def __init__(
        self,
        loop: Loop,
        plain: socket.socket,
        far: socket.socket,
        seals: sealed.Sealer,
        opens: sealed.Opener,
        over: Callable[[], None],
    ) -> None:
        """
        Begin to carry.

        Args:
            plain: The end of a pair of sockets on this machine.
            far: The connection to the other machine, after its handshake.
            over: Called once both are closed.
        """
        self._loop, self._plain, self._far, self._seals, self._opens, self._over = loop, plain, far, seals, opens, over
        self._to_plain, self._to_far = bytearray(), bytearray()
        self._has_plain_ended = self._has_far_ended = self._is_shut = False
        self.is_over = False
        for link in (plain, far):
            link.setblocking(False)
        self._wish()

    def _wish(self) -> None:
        """Wait for what can be carried now; an end is passed on after all data that came before it."""
        if self.is_over:
            return
        if self._has_far_ended and not self._to_plain:
            self.close()
            return
        if self._has_plain_ended and not self._to_far and not self._is_shut:
            # Not closed yet: that would discard data that the peer has not read.
            self._is_shut = True
            with contextlib.suppress(OSError):
                self._far.shutdown(socket.SHUT_WR)
        hears = not self._has_plain_ended and len(self._to_far) < _WAITING_BYTES
        opens = not self._has_far_ended and len(self._to_plain) < _WAITING_BYTES
        self._loop.serve(self._plain, self._hear if hears else None, self._give if self._to_plain else None)
        self._loop.serve(self._far, self._open if opens else None, self._send if self._to_far else None)

    def _hear(self) -> None:
        data = _received(self._plain)
        if data is not None:
            self._has_plain_ended = not data
            self._to_far += self._seals.seal(data)
            self._send()

    def _open(self) -> None:
        data = _received(self._far)
        if data is None:
            return
        self._has_far_ended = not data
        try:
            for piece in self._opens.feed(data):
                self._to_plain += piece if not self._has_plain_ended else b""
        except wire.WireError:
            self.close()
        self._give()

    def _give(self) -> None:
        if not _passed(self._plain, self._to_plain):
            self._has_plain_ended = True
        self._wish()

    def _send(self) -> None:
        if not _passed(self._far, self._to_far):
            self._has_far_ended = True
        self._wish()

    def close(self) -> None:
        """End both sides."""
        if self.is_over:
            return
        self.is_over = True
        for link in (self._plain, self._far):
            self._loop.unwatch(link)
            link.close()
        self._over()


def _passed(link: socket.socket, waiting: bytearray) -> bool:
    """Send as much as a socket accepts; return whether it accepts anything at all."""
    try:
        while waiting:
            del waiting[: link.send(memoryview(waiting)[: sealed.RECORD_BYTES])]
    except BlockingIOError:
        pass
    except OSError:
        waiting.clear()
        return False
    return True


def _received(link: socket.socket) -> Optional[bytes]:
    """Return the data that has arrived: empty after the end, None if there is none."""
    try:
        return link.recv(sealed.RECORD_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
