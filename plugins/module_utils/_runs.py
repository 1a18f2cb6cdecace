# SPDX-License-Identifier: Apache-2.0
"""
Look at runs on one node, follow their files, and end what is left. Private to the collection.

The run directory and the processes that carry the run's id are the truth; nothing here needs the
supervisor to answer.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

CHUNK = 1 << 16
# Files say nothing when they grow; this is how late a follower may be.
LOOK_SECONDS = 0.1
STOP, KILL = b"s", b"k"


def find(run_id: str) -> Tuple[List[int], List[int]]:
    """Find a run's supervisor by its command line and the job's processes by their environment."""
    supervisors, marked = [], []
    mark = ("MADCTL_RUN_ID=" + run_id).encode()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % entry, "rb") as stream:
                words = stream.read().split(b"\0")
            with open("/proc/%s/environ" % entry, "rb") as stream:
                environment = stream.read().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"/_supervisor.py") for word in words) and any(
            os.path.basename(word) == run_id.encode() for word in words
        ):
            supervisors.append(int(entry))
        elif mark in environment:
            marked.append(int(entry))
    return supervisors, marked


def send(pids: List[int], number: int) -> None:
    """Signal processes that may have gone in the meantime."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def stop(run_id: str, grace: float) -> List[int]:
    """End a run's share of this node within ``grace`` seconds and return what could not be ended."""
    deadline = time.monotonic() + grace
    supervisors, marked = find(run_id)
    send(supervisors, signal.SIGTERM)
    while (supervisors or marked) and time.monotonic() < deadline:
        if not supervisors:
            send(marked, signal.SIGKILL)
        time.sleep(0.05)
        supervisors, marked = find(run_id)
    send(supervisors + marked, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while (supervisors or marked) and time.monotonic() < deadline:
        time.sleep(0.05)
        supervisors, marked = find(run_id)
    return supervisors + marked


def directory(request: Dict[str, Any]) -> str:
    """Name the run's directory on this node."""
    return request["run_dir"] or "/var/tmp/madctl-%d/%s" % (os.geteuid(), request["run_id"])


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Say how a run stands on this node.

    Args:
        request: ``run_id``; ``run_dir``, or None where the default base holds it.

    Returns:
        ``state`` (``armed``, ``running``, ``stopping``, ``exited``, ``lost`` or ``unknown``), ``exit`` (the record,
        or None), ``supervisor`` (process id, or None), ``processes`` (how many of the job's), ``joined``.
    """
    run_dir = directory(request)
    supervisors, marked = find(request["run_id"])
    record, events = exit_record(run_dir), _events(run_dir)
    names = [event["event"] for event in events]
    if record is not None:
        state = "exited"
    elif supervisors:
        state = "stopping" if "stopping" in names else "running" if "started" in names else "armed"
    else:
        # Whoever has the directory had a supervisor; it can have ended without a record only by force.
        state = "lost" if os.path.isdir(run_dir) else "unknown"
    return {
        "state": state,
        "exit": record,
        "supervisor": supervisors[0] if supervisors else None,
        "processes": len(marked),
        "joined": names.count("joined"),
    }


def exit_record(run_dir: str) -> Optional[Dict[str, Any]]:
    """Read how a run ended on this node; None while it has not."""
    try:
        with open(os.path.join(run_dir, "exit.json"), encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (OSError, ValueError):
        return None


def _events(run_dir: str) -> List[Dict[str, Any]]:
    try:
        with open(os.path.join(run_dir, "events.jsonl"), encoding="utf-8") as stream:
            return [json.loads(line) for line in stream if line.endswith("\n")]
    except (OSError, ValueError):
        return []


class Tail:
    """Follow a run's files from byte offsets; the same frames come out that the supervisor sends."""

    def __init__(self, request: Dict[str, Any], write: Callable[[bytes], None]) -> None:
        """
        Prepare to follow.

        Args:
            request: ``run_id`` and ``run_dir``; ``offsets`` by log, 0 where none is given; ``end``: begin at the
                files' ends; ``follow``: whether to wait for more.
        """
        self.run_dir, self.follow, self.write = directory(request), request["follow"], write
        self.offsets: Dict[str, int] = dict(request.get("offsets") or {})
        self.events = 0
        self.ended = False
        if request.get("end"):
            self.offsets = {name: os.path.getsize(self._log(name)) for name in self._names()}

    def run(self) -> None:
        """Send what is there, then what comes, to the run's end."""
        self._frame({"event": "ready", "run_id": os.path.basename(self.run_dir)})
        while not self.ended:
            moved = self._logs() + self._new_events()
            if moved:
                continue
            if not self.follow:
                return
            if select.select([0], [], [], LOOK_SECONDS)[0] and not self._obey():
                return
            self._look_for_loss()

    def _obey(self) -> bool:
        order = os.read(0, 64)
        supervisors, marked = find(os.path.basename(self.run_dir))
        if KILL in order:
            send(supervisors, signal.SIGTERM)
            send(supervisors or marked, signal.SIGTERM)
        elif STOP in order:
            send(supervisors, signal.SIGTERM)
        return bool(order)

    def _look_for_loss(self) -> None:
        """A supervisor that was killed leaves no record, and nobody who could tell of it."""
        if find(os.path.basename(self.run_dir))[0] or exit_record(self.run_dir) is not None:
            return
        if not self._new_events():
            self._frame({"event": "exit", "outcome": "lost", "exit_code": None, "signal": None, "ranks_joined": 0})
            self.ended = True

    def _names(self) -> List[str]:
        try:
            return sorted(os.listdir(os.path.join(self.run_dir, "logs")))
        except OSError:
            return []

    def _log(self, name: str) -> str:
        return os.path.join(self.run_dir, "logs", name)

    def _logs(self) -> int:
        moved = 0
        for name in self._names():
            with open(self._log(name), "rb") as stream:
                stream.seek(self.offsets.get(name, 0))
                data = stream.read(CHUNK)
            if data:
                self.offsets[name] = self.offsets.get(name, 0) + len(data)
                self._frame({"event": "log", "log": name, "offset": self.offsets[name], "bytes": len(data)}, data)
                moved += 1
        return moved

    def _new_events(self) -> int:
        found = _events(self.run_dir)[self.events :]
        for event in found:
            if event["event"] == "exit" and self._logs():
                return 1  # Output first, so that an exit comes after its last words.
            self.events += 1
            self._frame(event)
            self.ended = self.ended or event["event"] == "exit"
        return len(found)

    def _frame(self, header: Dict[str, Any], data: bytes = b"") -> None:
        self.write(json.dumps(header).encode() + b"\n" + data)


def tail(request: Dict[str, Any], tell: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """Follow on standard output, after a line that says where the frames begin."""
    if not os.path.isdir(directory(request)):
        return {"failed": True, "msg": "there is no %s" % directory(request)}
    tell({"frames": True})

    def write(data: bytes) -> None:
        while data:
            data = data[os.write(1, data) :]

    try:
        Tail(request, write).run()
    except BrokenPipeError:
        pass
    os._exit(0)


def pack(request: Dict[str, Any], tell: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """Write the run directory as a compressed archive to standard output, after a line that says so."""
    import tarfile

    run_dir = directory(request)
    if not os.path.isdir(run_dir):
        return {"failed": True, "msg": "there is no %s" % run_dir}
    tell({"archive": True})

    def wanted(entry: Any) -> Any:
        # Sockets of a living run are nothing that an archive can hold.
        return entry if entry.isfile() or entry.isdir() else None

    with open(1, "wb", closefd=False) as stream, tarfile.open(fileobj=stream, mode="w|gz") as archive:
        archive.add(run_dir, arcname=".", filter=wanted)
    os._exit(0)
