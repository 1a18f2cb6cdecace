# SPDX-License-Identifier: Apache-2.0
"""
Watch objects, and read the logs of pods, in threads that survive every interruption of a stream.

All threads put what they find into one queue. Private to the collection.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any, Iterator, NamedTuple, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster, Stream
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.pod_reading import Stamp, stamped

# A queue.Queue; in older versions of Python it takes no type parameter.
Queue = Any
# Between attempts; the last one repeats.
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
_AGAIN_SECONDS = 0.3
# The server counts whole seconds back by its own clock; lines that were read before are dropped.
_OVERLAP_SECONDS = 3
_ENDING_SECONDS = 2.0
_NOT_YET, _GONE = 400, 404


class Listed(NamedTuple):
    """All objects of a kind, as they are now."""

    kind: str
    items: Any


class Changed(NamedTuple):
    """One object has changed, or was deleted."""

    kind: str
    what: str
    found: Any


class Line(NamedTuple):
    """A pod has printed a line."""

    uid: str
    at: Optional[Stamp]
    text: bytes


class Gap(NamedTuple):
    """The lines that a pod printed for a while were not kept for us."""

    uid: str


class LogEnd(NamedTuple):
    """A pod prints nothing more."""

    uid: str


class Trouble(NamedTuple):
    """The server cannot be reached for now; None when it answers again."""

    problem: Any


class Denied(NamedTuple):
    """The server permanently refuses a watch, or access to a log."""

    problem: Any
    is_watch: bool


class _Thread:
    """One stream after another, until it is stopped."""

    _is_watch = False

    def __init__(self, cluster: Cluster, put: Queue) -> None:
        self._cluster, self._put = cluster, put
        self._is_stopped = threading.Event()
        self._stream: Optional[Stream] = None
        self._failures = 0
        self._thread = threading.Thread(target=self._guarded, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, even while it waits for the server."""
        self._is_stopped.set()
        if self._stream is not None:
            self._stream.close()

    def join(self, seconds: float) -> None:
        """Wait until it has ended, at most that long."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        raise NotImplementedError

    def _guarded(self) -> None:
        """Run; an internal error must not leave others waiting forever."""
        try:
            self._run()
        except Exception as error:
            found = problem("INTERNAL", None, "%s: %s" % (type(error).__name__, error))
            self._put.put(Denied(found, self._is_watch))
        self._finish()

    def _finish(self) -> None:
        """Report that nothing more comes, if that is of interest."""

    def _kept(self, stream: Stream) -> Stream:
        """Keep a stream where another thread can close it."""
        self._stream = stream
        if self._is_stopped.is_set():
            stream.close()
        return stream

    def _failed(self, refused: Refused) -> bool:
        """Wait before the next attempt; return whether there is one."""
        if self._is_stopped.is_set():
            return False
        if not refused.is_unreachable:
            self._put.put(Denied(refused.problem, self._is_watch))
            return False
        self._put.put(Trouble(refused.problem))
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        return not self._is_stopped.wait(pause)

    def _succeeded(self) -> None:
        if self._failures:
            self._failures = 0
            self._put.put(Trouble(None))


class Watch(_Thread):
    """Lists the objects of a kind, then follows their changes."""

    _is_watch = True

    def __init__(self, cluster: Cluster, kind: str, selector: str, put: Queue) -> None:
        super().__init__(cluster, put)
        self._kind, self._selector = kind, selector

    def _run(self) -> None:
        while not self._is_stopped.is_set():
            try:
                listed = self._cluster.list(self._kind, self._selector)
                self._succeeded()
                self._put.put(Listed(self._kind, listed.items))
                self._follow(listed.version)
            except clusters.Expired:
                self._is_stopped.wait(_AGAIN_SECONDS)
            except Refused as refused:
                if not self._failed(refused):
                    return

    def _follow(self, version: str) -> None:
        """Follow changes; a server or a proxy ends each stream after a while, which is not the end of the watch."""
        while not self._is_stopped.is_set():
            began = time.monotonic()
            for line in self._kept(self._cluster.watch(self._kind, self._selector, version)):
                what, found = clusters.change(line)
                version = clusters.version(found) or version
                if what != "BOOKMARK":
                    self._put.put(Changed(self._kind, what, found))
            if time.monotonic() - began < _AGAIN_SECONDS:
                self._is_stopped.wait(_AGAIN_SECONDS)


class PodLog(_Thread):
    """
    Reads the log of one pod, and continues after interruptions.

    The end of a stream is not the end of the log: a log ends once its container has ended and it was read after that.
    """

    def __init__(self, cluster: Cluster, put: Queue, pod: str, uid: str, follow: bool) -> None:
        """
        Prepare.

        Args:
            pod: The name of the pod.
            uid: Its unique id.
            follow: Whether to wait for more lines.
        """
        super().__init__(cluster, put)
        self._pod, self._uid, self._follow = pod, uid, follow
        # The latest time of a line, how many lines had that time, and when a line last arrived.
        self._last: Optional[Stamp] = None
        self._equal = 0
        self._last_at = 0.0
        # Set once its container has ended.
        self.is_over = threading.Event()

    def _run(self) -> None:
        while not self._is_stopped.is_set():
            was_over = self.is_over.is_set() or not self._follow
            try:
                self._read(follow=not was_over)
                self._succeeded()
                if was_over:
                    break
            except Refused as refused:
                if refused.status == _GONE or refused.status == _NOT_YET and was_over:
                    break
                if refused.status != _NOT_YET and not self._failed(refused):
                    break
            self.is_over.wait(_AGAIN_SECONDS)

    def _finish(self) -> None:
        self._put.put(LogEnd(self._uid))

    def _read(self, follow: bool, whole: bool = False) -> None:
        """Read one stream, without the lines that were read before."""
        since = math.ceil(time.monotonic() - self._last_at) + _OVERLAP_SECONDS
        known, left, has_known = self._last, self._equal, self._last is None
        is_part = known is not None and not whole
        stream = self._kept(self._cluster.log(self._pod, names.CONTAINER, since if is_part else None, follow))
        self._succeeded()
        for line in _lines(stream, follow):
            at, text = stamped(line)
            if at is not None and known is not None:
                # Some runtimes give all lines of one read the same time.
                if at < known or at == known and left > 0:
                    left -= at == known
                    has_known = has_known or at == known
                    continue
                if not has_known and is_part:
                    # The last line was printed long before it arrived.
                    stream.close()
                    self._read(follow, whole=True)
                    return
                if not has_known:
                    # It no longer exists: lines after it may be lost as well.
                    has_known = True
                    self._put.put(Gap(self._uid))
            self._note(at)
            self._put.put(Line(self._uid, at, text))

    def _note(self, at: Optional[Stamp]) -> None:
        self._last_at = time.monotonic()
        if at is not None and (self._last is None or at >= self._last):
            self._equal = self._equal + 1 if at == self._last else 1
            self._last = at


def end(threads: Sequence[_Thread]) -> None:
    """Stop threads and wait for them for a while: Python's own shutdown with one running can abort the process."""
    for thread in threads:
        thread.stop()
    until = time.monotonic() + _ENDING_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _lines(stream: Stream, follow: bool) -> Iterator[bytes]:
    """Yield the lines of a stream; a line that is cut is read again, unless nothing more comes."""
    yield from stream
    if stream.rest and not follow:
        yield stream.rest
