# SPDX-License-Identifier: Apache-2.0
"""
Wait for many descriptors and for time in one thread.

A follower may have to stop listening to nodes while its reader catches up, but must still obey orders, signals and
timers. So there are two kinds of descriptors: those of nodes, and all others. Private to the collection.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import time
from typing import Any, Callable, List, Optional, Tuple

Callback = Callable[[], None]
# A process that wakes up this much later than planned was stopped, for example by a scheduler that suspends its job.
STOPPED_SECONDS = 5.0


class Timer:
    """A callback that is due at a time, unless it is cancelled."""

    def __init__(self, callback: Callback) -> None:
        self.callback: Optional[Callback] = callback

    def cancel(self) -> None:
        """Cancel the timer: it never calls back."""
        self.callback = None


class Loop:
    """Makes callbacks, one at a time, when a descriptor is ready or a timer is due."""

    def __init__(self) -> None:
        self._all, self._side = selectors.DefaultSelector(), selectors.DefaultSelector()
        self._timers: List[Tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._woke, self._stopped = time.monotonic(), 0.0

    def time(self) -> float:
        """Return the seconds of a clock that does not count the time during which this process was stopped."""
        return time.monotonic() - self._stopped

    def watch(self, descriptor: Any, on_read: Callback, is_node: bool = False) -> None:
        """Call back when a descriptor can be read; that of a node may have to wait, see ``turn``."""
        self._all.register(descriptor, selectors.EVENT_READ, (on_read, None))
        if not is_node:
            self._side.register(descriptor, selectors.EVENT_READ, (on_read, None))

    def write(self, descriptor: Any, on_write: Optional[Callback]) -> None:
        """Also call back when a watched descriptor can be written; None ends that."""
        on_read, known = self._all.get_key(descriptor).data
        if known is on_write:
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if on_write else 0)
        self._all.modify(descriptor, wanted, (on_read, on_write))

    def serve(self, descriptor: Any, on_read: Optional[Callback], on_write: Optional[Callback]) -> None:
        """Call back when a node's descriptor can be read, or written, if that is wanted now."""
        self.unwatch(descriptor)
        wanted = (selectors.EVENT_READ if on_read else 0) | (selectors.EVENT_WRITE if on_write else 0)
        if wanted:
            self._all.register(descriptor, wanted, (on_read, on_write))

    def unwatch(self, descriptor: Any) -> None:
        """Forget a descriptor, watched or not."""
        for selector in (self._all, self._side):
            with contextlib.suppress(KeyError, ValueError):
                selector.unregister(descriptor)

    def after(self, seconds: float, callback: Callback) -> Timer:
        """Call back once, after some seconds."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (self.time() + seconds, next(self._numbers), timer))
        return timer

    def turn(self, seconds: Optional[float] = None, without_nodes: bool = False) -> None:
        """
        Wait until something is ready or due, and make its callbacks.

        Args:
            seconds: The longest time to wait; None without a limit.
            without_nodes: Whether to ignore nodes this time.
        """
        self._awoke(0.0)
        if self._timers:
            due = max(0.0, self._timers[0][0] - self.time())
            seconds = due if seconds is None else min(seconds, due)
        selector = self._side if without_nodes else self._all
        found = selector.select(None if seconds is None else max(0.0, seconds))
        self._awoke(seconds)
        for key, ready in found:
            on_read, on_write = key.data
            # An earlier callback may have ended this one.
            if ready & selectors.EVENT_WRITE and on_write and self._is_watched(key, selector):
                on_write()
            if ready & selectors.EVENT_READ and on_read and self._is_watched(key, selector):
                on_read()
        while self._timers and self._timers[0][0] <= self.time():
            callback = heapq.heappop(self._timers)[2].callback
            if callback:
                callback()

    def until(self, is_reached: Callable[[], object], seconds: float) -> None:
        """Turn until a condition holds, or the time is over."""
        deadline = self.time() + seconds
        while not is_reached() and self.time() < deadline:
            self.turn(deadline - self.time())

    def _awoke(self, wanted: Optional[float]) -> None:
        """Exclude from the clock how long this process was stopped since the last look; None: no time was set."""
        now = time.monotonic()
        late = now - self._woke - (wanted or 0.0)
        if wanted is not None and late > STOPPED_SECONDS:
            self._stopped += late
        self._woke = now

    @staticmethod
    def _is_watched(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> bool:
        try:
            return selector.get_key(key.fileobj).data[0] is key.data[0]
        except (KeyError, ValueError):
            return False

    def close(self) -> None:
        """Close the descriptors of the loop itself."""
        self._all.close()
        self._side.close()
