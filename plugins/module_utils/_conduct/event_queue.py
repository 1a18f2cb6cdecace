# SPDX-License-Identifier: Apache-2.0
"""The queue of events between a follower and its reader, which may be slow, stopped or gone."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from typing import Any, Callable, Deque, Dict, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, unix_sockets, wire

# The thread's name, by which a command that ends can tell that its reader accepts nothing.
THREAD = "madctl-events"
_WAITING_BYTES = 1 << 24
_EVENT_BYTES = 256  # roughly the cost of its bookkeeping
_LAST_WORDS_SECONDS = 30.0


class Events:
    """
    The destination of events: madctl if it listens, otherwise the screen.

    A slow or stopped reader never delays the follower: output that does not fit is left out, and its size is reported.
    If ``exact`` asks for every byte, output waits on the nodes instead: see ``is_full``.
    """

    def __init__(
        self,
        path: Optional[str],
        show: Callable[[Dict[str, Any], bytes], None],
        flush: Callable[[], None],
        exact: bool,
        beat: Callable[[], Optional[float]] = lambda: None,
    ) -> None:
        """
        Prepare.

        Args:
            show: Shows an event if no listener is on a socket.
            flush: Shows incomplete output at the end.
            beat: Shows what is due even without events; returns after how many seconds to call it again, if at all.
        """
        self.listener = unix_sockets.connect(path) if path else None
        self._show, self._flush, self._exact, self._beat = show, flush, exact, beat
        self._frames: Deque[Tuple[Dict[str, Any], bytes]] = deque()
        self._bytes = 0
        self._left_out: Dict[Tuple[str, str], int] = {}
        self._changed = threading.Condition()
        self._closed = self._is_last = False
        self._patience = _LAST_WORDS_SECONDS
        self._thread = threading.Thread(target=self._write, daemon=True, name=THREAD)

    def __enter__(self) -> Events:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            for source in list(self._left_out):
                self._say_left_out(source)
            self._closed = True
            self._changed.notify_all()
        # Ending in the middle of a message would block all other messages, so wait for it.
        self._thread.join(self._patience)
        if self._is_last:
            # The result also goes through a pipe, which may be full and have no reader.
            end_process(self._patience)
        if self.listener is None and not self._thread.is_alive():
            self._flush()

    def tell(self, event: Dict[str, Any], payload: bytes) -> None:
        """Take one event."""
        with self._changed:
            if payload and event["event"] == events.LOG:
                source = (event["host"], event["log"])
                if not self._exact and self._bytes >= _WAITING_BYTES:
                    self._left_out[source] = self._left_out.get(source, 0) + len(payload)
                    return
                self._say_left_out(source)
            self._put(event, payload)

    def is_full(self) -> bool:
        """Return whether a reader that wants every byte has to catch up first."""
        return self._exact and self._bytes >= _WAITING_BYTES

    def leave(self, patience: float = 0) -> None:
        """Drop what is still queued: the listener wants to leave, or has left."""
        with self._changed:
            self._frames.clear()
            self._bytes, self._patience = 0, patience

    def hurry(self, patience: float) -> None:
        """At the end, wait this many seconds for the reader, then as long for the result, and end this process."""
        self._patience, self._is_last = patience, True

    def _say_left_out(self, source: Tuple[str, str]) -> None:
        gap = self._left_out.pop(source, 0)
        if gap:
            self._put({"event": events.SKIPPED, "host": source[0], "log": source[1], "size": gap}, b"")

    def _put(self, event: Dict[str, Any], payload: bytes) -> None:
        self._frames.append((event, payload))
        self._bytes += _EVENT_BYTES + len(payload)
        self._changed.notify_all()

    def _write(self) -> None:
        while True:
            seconds = self._beat() if self.listener is None else None
            with self._changed:
                is_due = not self._changed.wait_for(lambda: self._frames or self._closed, seconds)
                if is_due:
                    continue
                if not self._frames:
                    return
                event, payload = self._frames.popleft()
            self._pass_on(event, payload)
            with self._changed:
                self._bytes -= _EVENT_BYTES + len(payload)
                self._changed.notify_all()

    def _pass_on(self, event: Dict[str, Any], payload: bytes) -> None:
        if self.listener is None:
            self._show(event, payload)
            return
        with contextlib.suppress(OSError):  # The reader has gone; the run continues.
            self.listener.sendall(wire.encode(event, payload))


def end_process(seconds: float) -> None:
    """End this process after this many seconds, whatever it does in the meantime."""
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()
