# SPDX-License-Identifier: Apache-2.0
"""One stream of an agent: a call, or the way to a supervisor. Private to the collection."""

from __future__ import annotations

import socket
from typing import Optional

PIECE = 1 << 18


class Stream:
    """A call, or the way to a supervisor: a socket, and a process where there is one."""

    def __init__(self, number: int, link: socket.socket, pid: Optional[int], deadline: Optional[float]) -> None:
        self.number, self.link, self.pid, self.deadline = number, link, pid, deadline
        self.finishes = False
        self.arms: Optional[str] = None
        self.waiting = bytearray()
        self.is_closing = False
        link.setblocking(False)

    def feed(self) -> None:
        """Pass on what waits, as far as it is taken."""
        try:
            while self.waiting:
                del self.waiting[: self.link.send(memoryview(self.waiting)[:PIECE])]
        except BlockingIOError:
            return
        except OSError:
            self.waiting.clear()
        if self.is_closing:
            self.is_closing = False
            try:
                self.link.shutdown(socket.SHUT_WR)
            except OSError:
                pass
