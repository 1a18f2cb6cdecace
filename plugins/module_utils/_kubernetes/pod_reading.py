# SPDX-License-Identifier: Apache-2.0
"""
Read the log of a pod, line by line, as events of its run.

The output of a pod is as untrusted as its job: lines that our programs do not print are dropped. Pure; private to the
collection.
"""

from __future__ import annotations

import functools
import re
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, pod_log, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    anything,
    fields,
    listed,
    mapped,
    maybe,
    second,
    text,
    truth,
    whole,
)

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=timezone.utc), timedelta(seconds=1)
_MOST_BYTES = 64 << 20
_LONG = 1 << 14
_problem = fields(
    {"code": text(64), "host": maybe(text()), "message": text(_LONG), "remedy": maybe(text(_LONG))},
    {"rank": maybe(whole(0, events.MOST_RANKS)), "error": maybe(text(_LONG))},
)
_RESULT = fields(
    {"problems": listed(_problem, events.MOST_RANKS), "exit_code": whole(0, 255)},
    {
        "detached": lambda value: value is False,
        "by_scheduler": truth,
        "ended": maybe(second),
        "restarts": listed(anything, 1 << 16),
        "summary": mapped(anything, 1024),
        "error": maybe(text(_LONG)),
    },
)


class Stamp(NamedTuple):
    """When a line was printed: seconds since the epoch, and nanoseconds. A node may write times in any zone."""

    second: int
    nanoseconds: int

    @property
    def epoch(self) -> float:
        """Seconds since the epoch."""
        return self.second + self.nanoseconds / 1e9


def stamped(line: bytes) -> Tuple[Optional[Stamp], bytes]:
    """Split a line into its time and its text; None for one without a time."""
    found = _STAMP.match(line)
    if found is None or line[found.end() : found.end() + 1] not in (b" ", b""):
        return None, line
    second = _second(found[1], found[3])
    if second is None:
        return None, line
    return Stamp(second, int((found[2] or b"").ljust(9, b"0"))), line[found.end() + 1 :]


@functools.lru_cache(maxsize=64)
def _second(written: bytes, zone: bytes) -> Optional[int]:
    """Return seconds since the epoch; None for anything that is not a time. Many lines share a second."""
    try:
        at = datetime.strptime((written + zone.replace(b"Z", b"+00:00")).decode(), "%Y-%m-%dT%H:%M:%S%z")
    except (ValueError, OverflowError):
        return None
    return (at - _EPOCH) // _SECOND if at >= _EPOCH else None


class Reader:
    """Turns the lines of one pod into frames; those of the first pod also into the state and the result of the run."""

    def __init__(self, host: str, leads: bool) -> None:
        """
        Prepare.

        Args:
            host: The run's name for the pod.
            leads: Whether it has the conductor; no other pod reports about the whole run.
        """
        self._host, self._leads = host, leads
        self._sizes: Dict[str, int] = {}
        self._parts: Dict[str, bytearray] = {}
        self.state: Dict[str, Any] = {}
        self.result: Optional[Dict[str, Any]] = None
        # The last line that is not ours: the message of a program that could not even begin.
        self.stray = ""

    def take(self, at: Optional[Stamp], line: bytes) -> Iterator[wire.Frame]:
        """Yield the frames that one line completes."""
        piece = pod_log.piece(line)
        if piece is None:
            self.stray = line.decode(errors="replace").strip()[:400] or self.stray
        elif piece.label in (pod_log.EVENT, pod_log.STATE, pod_log.RESULT):
            yield from self._said(piece) if self._leads else ()
        else:
            yield self._output(piece, at)

    def _output(self, piece: pod_log.Piece, at: Optional[Stamp]) -> wire.Frame:
        offset = self._sizes.get(piece.label, 0)
        self._sizes[piece.label] = offset + len(piece.data) + piece.missing
        if piece.missing:
            return {"event": events.SKIPPED, "host": self._host, "log": piece.label, "size": piece.missing}, b""
        where = {"host": self._host, "log": piece.label, "offset": offset, "bytes": len(piece.data)}
        return {"event": events.LOG, **where, **({} if at is None else {"time": at.epoch})}, piece.data

    def _said(self, piece: pod_log.Piece) -> Iterator[wire.Frame]:
        """Join the parts of an object, and take it."""
        parts = self._parts.setdefault(piece.label, bytearray())
        # One that is too long is cut, and so is not an object.
        parts += piece.data[: max(0, _MOST_BYTES - len(parts))]
        if not piece.data.endswith(b"\n"):
            return
        found = wire.parse_or_none(bytes(self._parts.pop(piece.label)))
        if found is None:
            return
        if piece.label == pod_log.STATE:
            self.state = found
        elif piece.label == pod_log.RESULT:
            self.result = found if is_result(found) else self.result
        elif is_event(found):
            yield found, b""


def is_result(found: Dict[str, Any]) -> bool:
    """Return whether it is the result of a run: without problems if it succeeded, with problems if it failed."""
    return _RESULT(found) and bool(found["problems"]) == bool(found["exit_code"])


def is_event(found: Dict[str, Any]) -> bool:
    """Return whether it is an event that a conductor sends, with valid fields."""
    kind, host = found.get("event"), found.get("host", "")
    if not isinstance(kind, str) or not isinstance(host, str) or kind in (events.LOG, events.SKIPPED):
        return False
    table = events.TOLD_BY_NODES if host and kind in events.TOLD_BY_NODES else events.TOLD_BY_FOLLOWER
    known = table.get(kind)
    return known is not None and fields(known.required, known.optional)(found)
