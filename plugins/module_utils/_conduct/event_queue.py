# SPDX-License-Identifier: Apache-2.0
"""The queue of events between whoever follows nodes and whoever looks, who may be slow, stopped or gone."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Any, Deque, Dict, Optional, Protocol, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, unix_sockets, wire

# A command whose reader takes nothing has a thread of this name when it wants to end.
THREAD = "madctl-events"
_WAITING_BYTES = 1 << 24
_EVENT_BYTES = 256  # about what its bookkeeping costs
_LAST_WORDS_SECONDS = 30.0


class Screen(Protocol):
    """Whoever shows events where nobody listens on a socket."""

    def on_event(self, event: Dict[str, Any], payload: bytes) -> None:
        """Take one event."""

    def flush(self) -> None:
        """Show what is not complete yet."""


class Events:
    """
    Where events go: to madctl where it listens, to the screen for everybody else.

    A slow or stopped reader never holds up who follows the nodes: what does not fit is left out, with word
    of how much. Where ``exact`` asks for every byte, it waits on the nodes instead: see ``is_full``.
    """

    def __init__(self, path: Optional[str], screen: Screen, exact: bool = False) -> None:
        self.listener = unix_sockets.connect(path) if path else None
        self._screen = screen
        self._exact = exact
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
        # Who ends in the middle of a message keeps all others from theirs, so it is waited for.
        self._thread.join(self._patience)
        if self._is_last:
            # The result, too, goes through a pipe that may be full, with nobody who reads it.
            end_process(self._patience)
        if self.listener is None and not self._thread.is_alive():
            self._screen.flush()

    def tell(self, event: Dict[str, Any], payload: bytes) -> None:
        """Take one event."""
        with self._changed:
            if payload:
                source = (event["host"], event["log"])
                if not self._exact and self._bytes >= _WAITING_BYTES:
                    self._left_out[source] = self._left_out.get(source, 0) + len(payload)
                    return
                self._say_left_out(source)
            self._put(event, payload)

    def is_full(self) -> bool:
        """Tell whether a reader who wants every byte has to catch up first."""
        return self._exact and self._bytes >= _WAITING_BYTES

    def leave(self, patience: float = 0) -> None:
        """Drop what was not taken yet: whoever listened wants to go, or has gone."""
        with self._changed:
            self._frames.clear()
            self._bytes, self._patience = 0, patience

    def hurry(self, patience: float) -> None:
        """Wait so many seconds for whoever reads, when all is told; then for the result, and end this process."""
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
            with self._changed:
                self._changed.wait_for(lambda: self._frames or self._closed)
                if not self._frames:
                    return
                event, payload = self._frames.popleft()
            self._pass_on(event, payload)
            with self._changed:
                self._bytes -= _EVENT_BYTES + len(payload)
                self._changed.notify_all()

    def _pass_on(self, event: Dict[str, Any], payload: bytes) -> None:
        if self.listener is None:
            self._screen.on_event(event, payload)
            return
        try:
            self.listener.sendall(wire.encode(event, payload))
        except OSError:
            pass  # Nobody looks any more; the run goes on.


def end_process(seconds: float) -> None:
    """End this process in so many seconds, whatever it then does."""
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()
