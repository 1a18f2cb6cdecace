# SPDX-License-Identifier: Apache-2.0
"""Follow a run's files on a node from byte offsets, with the frames of its supervisor. Private to the collection."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, rank_lists, run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._node import (
    agent_calls,
    log_segments,
    log_times,
    processes,
    procfs,
    small_files,
)
from ansible_collections.madctl.multinode.plugins.module_utils._runs import run_state

# The kernel reports when a file grows; this only limits how late the loss of a supervisor is noticed.
LOOK_SECONDS = 1.0
_EVENTS_BYTES = 4 << 20
_IN_MODIFY_CREATE_MOVED = 0x2 | 0x100 | 0x80


class Tail:
    """Sends what is in a run directory, then what is added."""

    def __init__(self, request: Dict[str, Any], write: Callable[[bytes], None]) -> None:
        """
        Prepare to follow.

        Args:
            request: ``run_id`` and ``run_dir``; ``offsets`` by log, by default 0; ``seq``, the number of the last
                known event; ``since``: seconds of the node's clock, or ``end``, and ``lines``: how many before the end,
                where to begin instead; ``follow``: whether to wait for more; ``ranks``: the only ones to read, as
                ``rank_lists.parse`` accepts them; ``with_times``: whether to report when output was written.
        """
        self.run_id, self.run_dir = request["run_id"], run_state.directory(request)
        self.follow, self.write = request["follow"], write
        self.offsets: Dict[str, int] = dict(request.get("offsets") or {})
        self.seq = int(request.get("seq") or 0)
        self.ended = False
        self._logs_dir = os.path.join(self.run_dir, run_directory.LOGS)
        self._position = 0
        self._supervisor = 0
        self._ranks = rank_lists.parse(request["ranks"]) if request.get("ranks") else ()
        self._times: Optional[Dict[str, log_times.Table]] = {} if request.get("with_times") else None
        self._begin(request.get("since"), request.get("lines"))
        # The existing output, which is reported once it is sent.
        self._ends: Optional[Dict[str, int]] = {name: log_segments.end(parts) for name, parts in self._chosen()}

    def _begin(self, since: Any, lines: Optional[int]) -> None:
        """Begin where the user asked to: at a time, some lines before the end, or at the later of both."""
        for name, parts in self._chosen():
            begin = 0
            if since == "end":
                begin = log_segments.end(parts)
            elif since is not None:
                found = log_times.offset_at(os.path.join(self._logs_dir, name), float(since))
                begin = log_segments.end(parts) if found is None else min(found, log_segments.end(parts))
            if lines is not None:
                begin = max(begin, log_segments.offset_of_last(parts, lines))
            if begin:
                self.offsets[name] = begin

    def _chosen(self) -> List[Tuple[str, List[log_segments.Segment]]]:
        """Return the logs to read."""
        # Output of a program just before the line that it complains about.
        found = sorted(log_segments.segments(self._logs_dir).items(), key=lambda one: _order(one[0]))
        return [one for one in found if not self._ranks or self._is_of_chosen_rank(one[0])]

    def _is_of_chosen_rank(self, log: str) -> bool:
        rank = run_directory.rank_of(log)
        return rank is not None and rank_lists.has(self._ranks, rank)

    def run(self) -> None:
        """Send everything up to the end of the run, or of the files."""
        self._frame({"event": events.READY, "run_id": self.run_id, "boot_id": procfs.boot_id(), "tail": True})
        changes = self._watch()
        while not self.ended:
            moved = self._logs() + self._events()
            self._tell_so_far()
            if moved:
                continue
            if not self.follow:
                return self._frame({"event": events.END})
            ready = select.select([0] if changes is None else [0, changes], [], [], LOOK_SECONDS)[0]
            if changes in ready:
                os.read(changes, 1 << 16)
            if 0 in ready and not self._obey():
                return None
            if not ready:
                self._look_for_loss()
        return None

    def _watch(self) -> Optional[int]:
        """Have the kernel report changes; None if this user's limit is reached, so that only polling helps."""
        libc = ctypes.CDLL(None)
        changes = int(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        if changes < 0:
            return None
        for path in (self.run_dir, self._logs_dir):
            if libc.inotify_add_watch(changes, os.fsencode(path), _IN_MODIFY_CREATE_MOVED) < 0:
                os.close(changes)
                return None
        return changes

    def _obey(self) -> bool:
        orders = os.read(0, 64)
        supervisors, marked = processes.find(self.run_id)
        for order, number in wire.SIGNALS.items():
            if order in orders:
                processes.send(supervisors, number)
        if not supervisors and (wire.STOP in orders or wire.KILL in orders):
            processes.kill_marked(self.run_id, marked, signal.SIGKILL)
        return bool(orders)

    def _look_for_loss(self) -> None:
        """Report an end that has no event: the supervisor was killed, or the disk is full."""
        if self._supervisor and processes.supervised(self._supervisor) == self.run_id:
            return
        if processes.find(self.run_id)[0] or self._logs() + self._events():
            return
        record = run_state.exit_record(self.run_dir)
        lost = {"outcome": run_directory.LOST, "exit_code": None, "signal": None, "ranks_joined": 0}
        self._frame(dict(record or lost, event=events.EXIT, seq=self.seq + 1))
        self.ended = True

    def _logs(self) -> int:
        moved = 0
        for name, parts in self._chosen():
            known = self.offsets.get(name, 0)
            offset, data = log_segments.read(parts, known)
            if not data:
                continue
            if offset > known:
                self._frame({"event": events.SKIPPED, "log": name, "size": offset - known})
            self.offsets[name] = offset + len(data)
            self._send(name, offset, data)
            moved += 1
        return moved

    def _send(self, name: str, offset: int, data: bytes) -> None:
        """Send a part of a log; if times are requested, in pieces that were written at different times."""
        times: Dict[str, Any] = {}
        stop, first = offset + len(data), offset
        while offset < stop:
            until = stop
            if self._times is not None:
                table = self._times.setdefault(name, log_times.Table(os.path.join(self._logs_dir, name)))
                at, later = table.at(offset)
                until = stop if later is None else min(stop, later)
                times = {} if at is None else {"time": at}
            header = {"event": events.LOG, "log": name, "offset": offset, "bytes": until - offset, **times}
            self._frame(header, data[offset - first : until - first])
            offset = until

    def _tell_so_far(self) -> None:
        """Report once, to a reader that waits for more, that it has everything that existed at its start."""
        if self._ends is None or any(self.offsets.get(name, 0) < end for name, end in self._ends.items()):
            return
        self._ends = None
        if self.follow:
            self._frame({"event": events.SO_FAR})

    def _events(self) -> int:
        size, found = self._new_events()
        for event in found:
            if event["event"] == events.ARMED and type(event.get("pid")) is int:
                self._supervisor = event["pid"]
            if type(event.get("seq")) is not int or event["seq"] <= self.seq:
                continue
            # Output first, so that the exit comes after the last lines.
            while event["event"] == events.EXIT and self._logs():
                pass
            self.seq = event["seq"]
            self._frame(event)
            self.ended = self.ended or event["event"] == events.EXIT
        return size

    def _new_events(self) -> Tuple[int, List[Dict[str, Any]]]:
        """Read complete new lines, some at a time; return how many bytes they are, and their events."""
        try:
            with os.fdopen(small_files.opened(os.path.join(self.run_dir, run_directory.EVENTS)), "rb") as stream:
                stream.seek(self._position)
                data = stream.read(_EVENTS_BYTES)
        except OSError:
            return 0, []
        size = data.rfind(b"\n") + 1 or len(data) // _EVENTS_BYTES * _EVENTS_BYTES  # No event is that long.
        self._position += size
        return size, run_state.parse(data[:size])

    def _frame(self, header: Dict[str, Any], data: bytes = b"") -> None:
        self.write(json.dumps(header).encode() + b"\n" + data)


def _order(log: str) -> Tuple[str, bool]:
    name, _, stream = log.rpartition(".")
    return name, stream != "out"


def tail(request: Dict[str, Any], tell: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """Follow on standard output, after a line that marks the beginning of the frames."""
    run_dir = run_state.directory(request)
    if not os.path.isdir(run_dir):
        return {"failed": True, "msg": "%s does not exist" % run_dir}
    tell({"frames": True})
    with contextlib.suppress(BrokenPipeError):
        Tail(request, agent_calls.write).run()
    os._exit(0)
