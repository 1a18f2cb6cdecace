# SPDX-License-Identifier: Apache-2.0
"""
One thread that waits for many descriptors and for time.

Whoever follows nodes may have to stop listening to them while its reader catches up; orders, signals and time count all
the same. So there are two kinds of descriptors: those of nodes, and all others. Private to the collection.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import time
from typing import Any, Callable, List, Optional, Tuple

Callback = Callable[[], None]


class Timer:
    """A callback that is due at some time, unless it is cancelled."""

    def __init__(self, callback: Callback) -> None:
        self._callback: Optional[Callback] = callback

    def cancel(self) -> None:
        """Have it never called."""
        self._callback = None

    def ring(self) -> None:
        """Call it, once."""
        callback, self._callback = self._callback, None
        if callback:
            callback()


class Loop:
    """Calls back, one at a time, when a descriptor is ready or a time has come."""

    def __init__(self) -> None:
        self._all, self._side = selectors.DefaultSelector(), selectors.DefaultSelector()
        self._timers: List[Tuple[float, int, Timer]] = []
        self._numbers = itertools.count()

    def watch(self, descriptor: Any, on_read: Callback, is_node: bool = False) -> None:
        """Call back when a descriptor can be read; one of a node's may have to wait, see ``turn``."""
        self._all.register(descriptor, selectors.EVENT_READ, (on_read, None))
        if not is_node:
            self._side.register(descriptor, selectors.EVENT_READ, (on_read, None))

    def write(self, descriptor: Any, on_write: Optional[Callback]) -> None:
        """Call back as well when a watched descriptor takes more, or no longer where that is None."""
        on_read, known = self._all.get_key(descriptor).data
        if known is on_write:
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if on_write else 0)
        self._all.modify(descriptor, wanted, (on_read, on_write))

    def unwatch(self, descriptor: Any) -> None:
        """Forget a descriptor, also one that was not watched."""
        for selector in (self._all, self._side):
            try:
                selector.unregister(descriptor)
            except (KeyError, ValueError):
                pass

    def after(self, seconds: float, callback: Callback) -> Timer:
        """Call back once, in so many seconds."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    def turn(self, seconds: Optional[float] = None, without_nodes: bool = False) -> None:
        """
        Wait until something is ready, call back what is, and what is due.

        Args:
            seconds: Wait no longer than that; None for as long as it takes.
            without_nodes: Listen to no node this time.
        """
        if self._timers:
            due = max(0.0, self._timers[0][0] - time.monotonic())
            seconds = due if seconds is None else min(seconds, due)
        selector = self._side if without_nodes else self._all
        for key, ready in selector.select(None if seconds is None else max(0.0, seconds)):
            on_read, on_write = key.data
            # What was called back before may have ended this one.
            if ready & selectors.EVENT_WRITE and on_write and self._is_watched(key, selector):
                on_write()
            if ready & selectors.EVENT_READ and self._is_watched(key, selector):
                on_read()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2].ring()

    @staticmethod
    def _is_watched(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> bool:
        try:
            return selector.get_key(key.fileobj).data[0] is key.data[0]
        except (KeyError, ValueError):
            return False

    def close(self) -> None:
        """Give the descriptors of the loop itself back."""
        self._all.close()
        self._side.close()
