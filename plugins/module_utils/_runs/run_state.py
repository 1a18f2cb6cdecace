# SPDX-License-Identifier: Apache-2.0
"""
Look at a run on one node, end what is left of it, pack what it left. Private to the collection.

The run directory and the processes that are provably of the run are the truth; nothing here needs the
supervisor to answer.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import time
from typing import Any, Callable, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import (
    deadlines,
    docker,
    failure_flag,
    log_segments,
    processes,
    service,
    stop_mark,
)
from ansible_collections.madctl.multinode.plugins.module_utils._runs import packing

KILL_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_EMPTY_LOOKS = 2
_RECORD_SECONDS = 5.0
_RECORD_BYTES, _EVENTS_BYTES = 1 << 22, 1 << 26
_ALIVE_SECONDS = 3.0
_STORAGE_SECONDS = 3.0
_ANSWERS = (0, errno.ECONNREFUSED)


def left(run_id: str, base: str) -> List[int]:
    """Find all processes of a run: by its id, by its lock, which nobody else can have inherited, and by its record."""
    supervisors, marked = processes.find(run_id)
    found = [*supervisors, *marked] or _lock_holders(run_id, os.path.join(base, run_directory.LOCK))
    return found or _recorded(exit_record(os.path.join(base, run_id)) or {})


def _recorded(record: Dict[str, Any]) -> List[int]:
    """Name the processes that a supervisor could not end and that live on."""
    try:
        return [int(pid) for pid, started in record.get("left") or [] if started == processes.started(int(pid))]
    except (TypeError, ValueError):
        return []


def unseen(run_id: str, base: str) -> List[str]:
    """Say what lives of a run though no process of it can be named."""
    path = os.path.join(base, run_directory.LOCK)
    if _is_locked(run_id, path) and not _holders(path) and _is_locked(run_id, path):
        return ["a process that you may not see, which has the run's lock"]
    record = exit_record(os.path.join(base, run_id)) or {}
    if record.get("unseen") and not processes.is_still():
        return ["processes that start each other too fast to be found"]
    return []


def _is_locked(run_id: str, path: str) -> bool:
    """Tell whether a run's supervisor, or what inherited it from there, holds the lock."""
    try:
        with os.fdopen(log_segments.open_regular(path), "rb") as stream:
            if stream.read(300).strip() != run_id.encode():
                return False
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
    except OSError:
        pass
    return False


def _holders(path: str) -> List[int]:
    """List the processes that have a file open, as far as this user may know."""
    lock = os.stat(path)
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            handles = [os.stat("/proc/%s/fd/%s" % (pid, name)) for name in os.listdir("/proc/%s/fd" % pid)]
        except OSError:
            continue
        if int(pid) != os.getpid() and any(os.path.samestat(handle, lock) for handle in handles):
            found.append(int(pid))
    return found


def _lock_holders(run_id: str, path: str) -> List[int]:
    if not _is_locked(run_id, path):
        return []
    # A supervisor that takes the lock just now has not written yet whose it is.
    return [pid for pid in _holders(path) if processes.named(pid) in (None, run_id)]


def stop(run_id: str, base: str, grace: float) -> List[str]:
    """End a run's share of this node within ``grace`` seconds and describe what could not be ended."""
    supervisors, _ = processes.find(run_id)
    processes.send(supervisors, signal.SIGTERM)
    # A supervisor that needs all of its own time still has to write what it could not end.
    _end(run_id, base, grace + (_RECORD_SECONDS if grace else 0.0))
    processes.send(left(run_id, base), signal.SIGKILL)
    _end(run_id, base, KILL_SECONDS)
    service.forget(run_id)
    remaining = [*map(processes.describe, left(run_id, base))] or unseen(run_id, base)
    if remaining:
        return remaining
    _tidy(os.path.join(base, run_id))
    return containers_left(run_id, os.path.join(base, run_id))


def _end(run_id: str, base: str, seconds: float) -> None:
    """Kill what no supervisor ends, until nothing of it was found twice, or time is over."""
    deadline, empty = time.monotonic() + seconds, 0
    while empty < _EMPTY_LOOKS and time.monotonic() < deadline:
        found = left(run_id, base)
        empty = 0 if found else empty + 1
        supervisors, marked = processes.find(run_id)
        if found and not supervisors:
            if not any(map(processes.is_ours_to_end, found)):
                return  # No time helps.
            processes.kill_marked(run_id, marked, signal.SIGKILL)
            processes.send([] if marked else found, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)


def is_over(run_id: str, base: str) -> bool:
    """Tell whether nothing of a run is left here, no process and nothing that only a supervisor needs."""
    gone = not left(run_id, base) and not unseen(run_id, base)
    return gone and not any(os.path.lexists(os.path.join(base, run_id, name)) for name in run_directory.OF_SUPERVISOR)


def _tidy(run_dir: str) -> None:
    """Remove what a supervisor left that was killed, here and on shared storage."""
    armed = next((event for event in read_events(run_dir) if event["event"] == events.ARMED), {})
    if isinstance(armed.get("storage"), str) and type(armed.get("node_rank")) is int:
        place = failure_flag.directory(armed["storage"], os.path.basename(run_dir))
        deadlines.together({"leave": (failure_flag.leave, (place, str(armed["node_rank"])))}, _STORAGE_SECONDS)
    for name in run_directory.OF_SUPERVISOR:
        try:
            os.unlink(os.path.join(run_dir, name))
        except OSError:
            pass


def end(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    End a run's share of this node.

    Args:
        request: ``run_id``; ``base``, the directory of run directories, or None for the usual one; ``grace`` in
            seconds; ``dry_run``, whether only to look; ``halt``, False where a later attempt may start.

    Returns:
        ``changed``; ``known``, whether the run was ever here; and ``left``: descriptions of what could not be ended.
        ``failed`` with ``msg`` where a launch that is under way may still start it here.
    """
    base = request["base"] or run_directory.base(os.geteuid())
    run_dir = os.path.join(base, request["run_id"])
    if not request["dry_run"] and request.get("halt", True):
        try:
            # First, so that whatever is armed from now on sees it, and what was armed before is seen below.
            stop_mark.halt(base, request["run_id"])
        except OSError as error:
            if not left(request["run_id"], base) and exit_record(run_dir) is None:
                return {
                    "failed": True,
                    "msg": "a launch may still start it here, for %s cannot be written: %s" % (run_dir, error),
                }
    if is_over(request["run_id"], base):
        known = os.path.isdir(run_dir) and not stop_mark.is_only_halted(run_dir)
        left_there = [] if request["dry_run"] else containers_left(request["run_id"], run_dir)
        return {"changed": False, "known": known, "left": left_there}
    left_there = [] if request["dry_run"] else stop(request["run_id"], base, request["grace"])
    return {"changed": True, "known": True, "left": left_there}


def containers_left(run_id: str, run_dir: str) -> List[str]:
    """Remove the containers of models whose supervisor could not, and say why some are left."""
    if not os.path.exists(os.path.join(run_dir, run_directory.MODEL)):
        return []
    try:
        docker.remove_of(run_id)
    except (OSError, ValueError) as error:
        return ["containers: %s" % error]
    return []


def stop_now(request: Dict[str, Any]) -> Dict[str, Any]:
    """End at once what is left of a run on this node; ``left`` describes what could not be ended."""
    return {"left": stop(request["run_id"], os.path.dirname(directory(request)), 0.0)}


def directory(request: Dict[str, Any]) -> str:
    """Name the run's directory on this node."""
    return request["run_dir"] or os.path.join(run_directory.base(os.geteuid()), request["run_id"])


def boot_id() -> str:
    """Read what tells one start of this machine from another."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Say how a run stands on this node.

    Args:
        request: ``run_id``; ``run_dir``, or None where the default base holds it.

    Returns:
        ``state`` (``armed``, ``running``, ``stopping``, ``exited``, ``lost``, ``rebooted`` or ``unknown``), ``exit``
        (the record, or None), ``supervisor`` (process id, or None), ``container`` (what holds the run together:
        ``systemd``, ``session`` or None), ``storage`` (where nodes tell each other of a failure, or None),
        ``processes`` (how many of the job's), ``joined``.
    """
    run_dir = directory(request)
    supervisors, marked = processes.find(request["run_id"])
    record, happened = exit_record(run_dir), read_events(run_dir)
    names = [event["event"] for event in happened]
    armed = next((event for event in happened if event["event"] == events.ARMED), {})
    if record is not None:
        state = "exited"
    elif supervisors:
        state = "stopping" if events.STOPPING in names else "running" if events.STARTED in names else "armed"
    elif not os.path.isdir(run_dir):
        state = "unknown"
    else:
        # Whoever has the directory had a supervisor; it can have ended without a record only by force.
        state = "lost" if armed.get("boot_id", boot_id()) == boot_id() else "rebooted"
    return {
        "state": state,
        "exit": record,
        "supervisor": supervisors[0] if supervisors else None,
        "container": armed.get("container"),
        "storage": armed.get("storage"),
        "processes": len({*marked, *_recorded(record or {})}),
        "joined": names.count(events.JOINED),
    }


def exit_record(run_dir: str) -> Optional[Dict[str, Any]]:
    """Read how a run ended on this node; None while it has not."""
    try:
        found = _object(log_segments.read_regular(os.path.join(run_dir, run_directory.RECORD), _RECORD_BYTES))
    except OSError:
        return None
    return found if found is not None and _is_record(found) else None


def _is_record(found: Dict[str, Any]) -> bool:
    """Tell a supervisor's record from what a job may have written in its place."""
    numbers = (found.get(key, "") for key in ("exit_code", "signal"))
    whole = all(number is None or type(number) is int for number in numbers)
    return whole and isinstance(found.get("outcome"), str) and isinstance(found.get("stopped"), bool)


def read_events(run_dir: str) -> List[Dict[str, Any]]:
    """Read what happened to a run on this node, as far as the disk had room for it."""
    try:
        data = log_segments.read_regular(os.path.join(run_dir, run_directory.EVENTS), _EVENTS_BYTES)
    except OSError:
        return []
    return parse(data)


def parse(data: bytes) -> List[Dict[str, Any]]:
    """Read events; a line that a full disk tore is none."""
    found = [_object(line) for line in data.split(b"\n")[:-1]]
    return [event for event in found if event is not None and isinstance(event.get("event"), str)]


def _object(line: bytes) -> Optional[Dict[str, Any]]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_alive(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Try whether another node's kernel answers on the network of the job.

    Args:
        request: ``address``, and ``ports``, any of which may be closed: to refuse is an answer too.
    """
    import select

    waiting = []
    for port in request["ports"]:
        probe = socket.socket(socket.AF_INET6 if ":" in request["address"] else socket.AF_INET, socket.SOCK_STREAM)
        probe.setblocking(False)
        probe.connect_ex((request["address"], port))
        waiting.append(probe)
    deadline = time.monotonic() + _ALIVE_SECONDS
    while waiting and time.monotonic() < deadline:
        for probe in select.select([], waiting, [], deadline - time.monotonic())[1]:
            waiting.remove(probe)
            if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in _ANSWERS:
                return {"alive": True}
    return {"alive": False}


def pack(request: Dict[str, Any], tell: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """
    Write the run directory as an archive to standard output, after a line that says so.

    It is a gzip stream of frames, each directory before what is in it, each file before its bytes.
    """
    import gzip

    run_dir = directory(request)
    if not os.path.isdir(run_dir):
        return {"failed": True, "msg": "there is no %s" % run_dir}
    if not os.access(run_dir, os.R_OK | os.X_OK):
        return {"failed": True, "msg": "%s may not be read" % run_dir}
    tell({"archive": True})
    with open(1, "wb", closefd=False) as out, gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6) as archive:
        for frame in packing.packed(run_dir, run_directory.OF_SUPERVISOR):
            archive.write(frame)
    os._exit(0)
