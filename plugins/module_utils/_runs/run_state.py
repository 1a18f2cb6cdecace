# SPDX-License-Identifier: Apache-2.0
"""
Determine the state of a run on one node, and pack its files. Private to the collection.

The run directory and the processes that provably belong to the run decide; the supervisor need not answer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import Any, Callable, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses, events, run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, procfs, small_files, trees
from ansible_collections.madctl.multinode.plugins.module_utils._runs import evidence, packing

_RECORD_BYTES, _EVENTS_BYTES = 1 << 22, 1 << 26
_ALIVE_SECONDS = 3.0
_ANSWERS = (0, errno.ECONNREFUSED)


def directory(request: Dict[str, Any]) -> str:
    """Return the run's directory on this node."""
    return request["run_dir"] or os.path.join(run_directory.base(os.geteuid()), request["run_id"])


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Return the state of a run on this node.

    Args:
        request: ``run_id``; ``run_dir``, or None if it is in the default base.

    Returns:
        ``state`` (``armed``, ``running``, ``stopping``, ``exited``, ``lost``, ``rebooted`` or ``unknown``), ``exit``
        (the record, or None), ``supervisor`` (process id, or None), ``container`` (what contains the run:
        ``systemd``, ``session`` or None), ``storage`` (where nodes announce failures to each other, or None),
        ``processes`` (how many the job has), ``joined``, and the evidence of a failure, see ``evidence``.
    """
    run_dir = directory(request)
    supervisors, marked = processes.find(request["run_id"])
    record, happened = exit_record(run_dir), read_events(run_dir)
    names = [event["event"] for event in happened]
    armed = happened[names.index(events.ARMED)] if events.ARMED in names else {}
    if record is not None:
        state = "exited"
    elif supervisors:
        state = "stopping" if events.STOPPING in names else "running" if events.STARTED in names else "armed"
    elif not os.path.isdir(run_dir):
        state = "unknown"
    else:
        # A directory once had a supervisor, which ends without a record only if it is killed.
        own = procfs.boot_id()
        state = "lost" if armed.get("boot_id", own) == own else "rebooted"
    return {
        "state": state,
        "exit": record,
        "supervisor": supervisors[0] if supervisors else None,
        "container": armed.get("container"),
        "storage": armed.get("storage"),
        "processes": len({*marked, *recorded(record or {})}),
        "joined": names.count(events.JOINED),
        **evidence.found(run_dir, record, happened),
    }


def recorded(record: Dict[str, Any]) -> List[int]:
    """Return the processes that a supervisor could not end and that are still running."""
    with contextlib.suppress(TypeError, ValueError):
        return [int(pid) for pid, started in record.get("left") or [] if started == processes.started(int(pid))]
    return []


def exit_record(run_dir: str) -> Optional[Dict[str, Any]]:
    """Read how a run ended on this node; None until it has."""
    found = small_files.read_object(os.path.join(run_dir, run_directory.RECORD), _RECORD_BYTES)
    return found if found is not None and _is_record(found) else None


def _is_record(found: Dict[str, Any]) -> bool:
    """Return whether a supervisor wrote this record, rather than the job."""
    numbers = (found.get(key, "") for key in ("exit_code", "signal"))
    whole = all(number is None or type(number) is int for number in numbers)
    return whole and isinstance(found.get("outcome"), str) and isinstance(found.get("stopped"), bool)


def read_events(run_dir: str) -> List[Dict[str, Any]]:
    """Read the events of a run on this node, as far as the disk had space for them."""
    with contextlib.suppress(OSError):
        return parse(small_files.read(os.path.join(run_dir, run_directory.EVENTS), _EVENTS_BYTES))
    return []


def parse(data: bytes) -> List[Dict[str, Any]]:
    """Parse events, skipping lines that a full disk has cut."""
    found = [wire.parse_or_none(line) for line in data.split(b"\n")[:-1]]
    return [event for event in found if event is not None and isinstance(event.get("event"), str)]


def is_alive(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Check whether another node's kernel answers on the network of the job.

    Args:
        request: ``address``, and ``ports``, any of which may be closed: a refused connection is an answer, too.
    """
    import select

    waiting = []
    for port in request["ports"]:
        probe = socket.socket(addresses.family(request["address"]), socket.SOCK_STREAM)
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

    It is a gzip stream of frames, each directory before its contents, each file before its bytes. Of the run's copy of
    the code, it contains what the job changed.
    """
    import gzip

    run_dir = directory(request)
    if not os.path.isdir(run_dir):
        return {"failed": True, "msg": "%s does not exist" % run_dir}
    if not os.access(run_dir, os.R_OK | os.X_OK):
        return {"failed": True, "msg": "%s is not readable" % run_dir}
    tell({"archive": True})
    with open(1, "wb", closefd=False) as out, gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6) as archive:
        for frame in packing.packed(run_dir, [*run_directory.OF_SUPERVISOR, *trees.unchanged(run_dir)]):
            archive.write(frame)
    os._exit(0)
