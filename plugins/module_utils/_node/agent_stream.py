# SPDX-License-Identifier: Apache-2.0
"""One stream of an agent. Private to the collection."""

from __future__ import annotations

import socket
from typing import Optional

PIECE = 1 << 18


class Stream:
    """A call, with its process, or a connection to a supervisor."""

    def __init__(self, number: int, link: socket.socket, pid: Optional[int], deadline: Optional[float]) -> None:
        self.number, self.link, self.pid, self.deadline = number, link, pid, deadline
        self.finishes = False
        self.arms: Optional[str] = None
        self.waiting = bytearray()
        self.is_closing = False
        link.setblocking(False)

    def feed(self) -> None:
        """Pass on as much of the waiting data as the other side takes."""
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
