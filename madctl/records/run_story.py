# SPDX-License-Identifier: Apache-2.0
"""
The story of a run, beside its record: what happened, and when, as this machine saw it.

It contains no output of the job and no values of its environment. Its size is limited, it has one object per line, and
its parser expects that the file may be damaged. A run that was never followed has none, and failing to write one harms
no run.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    Shape,
    anything,
    cut,
    fields,
    listed,
    mapped,
    maybe,
    number,
    second,
    text,
    truth,
    whole,
)
from madctl.records import record_store

MOST_BYTES = 256 << 10
# Events of ranks are also in the files of their nodes; the remaining space is for what only this machine knows.
_MOST_OF_RANKS = 192 << 10
_LINE_BYTES = 64 << 10
_TEXT = 400
_OF_RANKS = (events.JOINED, events.RANK_EXIT, events.EXEC_FAILED)

_rank, _code = maybe(whole(0, events.MOST_RANKS)), maybe(whole(-(1 << 16), 1 << 16))
_short, _name = text(_TEXT), text(256)
_ended: dict[str, Shape] = {"exit_code": _code, "signal": maybe(whole(0, 128)), "oom": truth, "stopping": truth}
_problem = fields({"code": _name, "host": maybe(_name), "message": _short}, {"remedy": maybe(_short), "rank": _rank})
_groups = listed(fields({"hosts": listed(_name, 1 << 17), "row": mapped(anything, 64)}), 64)
# The kinds of events that are kept, and the fields of each.
_KEPT: dict[str, dict[str, Shape]] = {
    events.PROBED: {"answered": truth},
    events.PLANNED: {
        "since": number(0, 1e11),
        "warnings": listed(_problem, 4096),
        "found": fields({}, {"checks": _groups, "prints": _groups}),
    },
    events.READY: {},
    events.ARMED: {},
    events.STARTED: {},
    events.START_FAILED: {"message": _short},
    events.JOINED: {"rank": _rank},
    events.EXEC_FAILED: {"rank": _rank, "errno": whole(0, 4096)},
    events.RANK_EXIT: {"rank": _rank, **_ended},
    events.RUNNER_EXIT: _ended,
    events.EXIT: {"outcome": _name, **_ended, "stopped": truth, "reason": maybe(_name)},
    events.SUSPECT: {},
    events.BACK: {},
    events.LOST: {"message": _short},
    events.IDLE: {"seconds": number()},
    events.STOPPING: {"why": maybe(_problem)},
    events.RESTART: {
        "attempt": whole(1, 1 << 20),
        "of": whole(1, 1 << 20),
        "replaced": mapped(_name, 1 << 17),
        "after": _problem,
    },
}


@dataclass(frozen=True)
class Entry:
    """One event: when it happened by this machine's clock, in which attempt, and the fields that are kept."""

    at: float
    attempt: int
    event: Mapping[str, Any]

    @property
    def key(self) -> tuple[Any, ...]:
        """A key that is the same for all copies of an event, however they were received."""
        seq, host, rank = (self.event.get(name) for name in ("seq", "host", "rank"))
        return (self.attempt, host, seq) if seq else (self.attempt, host, self.event["event"], rank, round(self.at, 1))


class Notes:
    """Makes entries from events as they arrive, counts attempts, and corrects for the offsets of nodes' clocks."""

    def __init__(self, plan: Mapping[str, Any] | None = None, attempt: int = 1) -> None:
        self._offsets = _offsets(plan or {})
        self._attempt, self._plans = attempt, 0

    def take(self, event: Mapping[str, Any], now: float | None) -> Entry | None:
        """
        Return the entry for an event; None if its kind is not kept, or if its time is unknown.

        Args:
            now: The current time; None if events arrive later than they happened.
        """
        if event["event"] in (events.RESTART, events.PLANNED):
            if not event.get("plan"):
                return None  # The launch was refused, or waits for net-tools.
            # A job that its scheduler requeues is planned again.
            self._attempt += bool(self._plans) or event["event"] == events.RESTART
            self._plans += 1
            self._offsets = {**self._offsets, **_offsets(event["plan"])}
        at = self._at(event, now)
        return None if at is None else kept(event, at, self._attempt)

    def _at(self, event: Mapping[str, Any], now: float | None) -> float | None:
        there = event.get("time")
        heard = event["at"] if now is None and second(event.get("at")) else now
        if there is not None and second(there):
            at = float(there) - self._offsets.get(event.get("host", ""), 0.0)
            # Clock offsets are not known exactly, but an event cannot arrive before it happens.
            return at if heard is None else min(at, heard)
        return heard


def is_kept(event: Mapping[str, Any]) -> bool:
    """Return whether events of this kind are kept."""
    return event["event"] in _KEPT


def _offsets(plan: Mapping[str, Any]) -> dict[str, float]:
    return {node["host"]: node.get("clock_offset") or 0.0 for node in plan.get("nodes") or ()}


def kept(event: Mapping[str, Any], at: float, attempt: int) -> Entry | None:
    """Return the entry for an event, without fields that are invalid or not kept."""
    shapes = _KEPT.get(event["event"]) if type(event.get("event")) is str else None
    if shapes is None or not (second(at) and whole(1, 1 << 20)(attempt)):
        return None
    common = {"host": _name, "seq": whole(1)}
    found = {key: _bounded(event[key]) for key in (*common, *shapes) if key in event}
    found = {key: value for key, value in found.items() if {**common, **shapes}[key](value)}
    return Entry(round(at, 3), attempt, {"event": event["event"], **found})


def _bounded(value: Any) -> Any:
    """Return a value with long texts cut."""
    if isinstance(value, str):
        return cut(value, _TEXT)
    if isinstance(value, list):
        return [_bounded(one) for one in value[: 1 << 17]]
    # The remedy and other fields of a problem may quote the job.
    return {key: _bounded(one) for key, one in value.items() if key != "error"} if isinstance(value, dict) else value


# -- the file ------------------------------------------------------------------------------------------


def read(run_id: str) -> list[Entry]:
    """Read the story of a run, without invalid lines; nothing if there is none."""
    with contextlib.suppress(OSError):
        descriptor = os.open(record_store.story(run_id), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor, "rb") as stream:
            return list(_parsed(stream.read(MOST_BYTES + _LINE_BYTES)))
    return []


def _parsed(data: bytes) -> Iterator[Entry]:
    for line in data.split(b"\n"):
        found = wire.parse_or_none(line)
        if found is not None and type(found.get("what")) is dict:
            entry = kept(found["what"], found.get("at", -1.0), found.get("attempt", 1))
            if entry is not None:
                yield entry


class Keeper:
    """Writes the story of one run while it is followed; entries wait until the run has a record."""

    # Whether it also takes the events of sessions that only read.
    reads = False

    def __init__(self, began: float) -> None:
        self._began = began
        self._notes, self._is_launch = Notes(), True
        self._waiting: list[Entry] | None = []
        self._stream: FileIO | None = None
        self._size = 0
        self._known: set[tuple[Any, ...]] = set()

    def begin(self, run_id: str, plan: Mapping[str, Any], attempt: int) -> None:
        """Begin to write, after existing entries."""
        if self._waiting is None:
            return
        waiting, self._waiting = self._waiting, None
        if not waiting:
            self._notes, self._is_launch = Notes(plan, attempt), False
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            self._stream = FileIO(os.open(record_store.story(run_id), flags, 0o600), "ab")
            self._size = os.fstat(self._stream.fileno()).st_size
            self._known = {entry.key for entry in read(run_id)} if self._size else set()
        except OSError:
            return
        for entry in waiting:
            self._write(entry)

    def take(self, event: Mapping[str, Any], now: float | None) -> None:
        """
        Add an event, unless its kind is not kept, it is already known, or there is no space for it.

        Args:
            now: See ``Notes.take``.
        """
        if not is_kept(event):
            return
        if event["event"] == events.READY and now is not None and not self._is_launch:
            return  # A run to which we attach was ready long ago.
        if event["event"] == events.PLANNED and now is not None:
            # A job may have waited in the queue for a long time.
            event = {**event, "since": self._began}
        entry = self._notes.take(event, now)
        if entry is None:
            return
        if self._waiting is not None:
            self._waiting.append(entry)
        else:
            self._write(entry)

    def _write(self, entry: Entry) -> None:
        if self._stream is None or entry.key in self._known:
            return
        line = _line(entry)
        if len(line) > _LINE_BYTES:
            line = _line(Entry(entry.at, entry.attempt, {**entry.event, "warnings": [], "found": {}}))
        most = _MOST_OF_RANKS if entry.event["event"] in _OF_RANKS else MOST_BYTES
        if self._size + len(line) > most or len(line) > _LINE_BYTES:
            return
        self._known.add(entry.key)
        self._size += len(line)
        try:
            self._stream.write(line)
        except OSError:
            self.close()

    def close(self) -> None:
        """Stop writing."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _line(entry: Entry) -> bytes:
    attempt = {"attempt": entry.attempt} if entry.attempt > 1 else {}
    return json.dumps({"at": entry.at, **attempt, "what": entry.event}).encode() + b"\n"


class Collector(Keeper):
    """Collects the story of a run that is only read, and writes nothing."""

    reads = True
    _MOST = 1 << 18

    def __init__(self, plan: Mapping[str, Any], attempt: int) -> None:
        super().__init__(0.0)
        self._notes = Notes(plan, attempt)
        self.entries: list[Entry] = []

    def begin(self, run_id: str, plan: Mapping[str, Any], attempt: int) -> None:
        """Do nothing: no record is written."""

    def take(self, event: Mapping[str, Any], now: float | None) -> None:
        """Keep an event if it has a time; it may arrive much later than it happened."""
        del now
        entry = self._notes.take(event, None)
        if entry is not None and len(self.entries) < self._MOST:
            self.entries.append(entry)
