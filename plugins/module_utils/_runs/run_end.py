# SPDX-License-Identifier: Apache-2.0
"""
End what is left of a run on one node, and determine whether anything is left. Private to the collection.

Only what provably belongs to the run is ended; nothing here needs its supervisor to answer.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Dict, List

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._node import (
    deadlines,
    docker,
    failure_flag,
    node_lock,
    processes,
    service,
    small_files,
    stop_mark,
)
from ansible_collections.madctl.multinode.plugins.module_utils._runs import run_state

KILL_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_EMPTY_LOOKS = 2
_RECORD_SECONDS = 5.0
_STORAGE_SECONDS = 3.0


def left(run_id: str, base: str) -> List[int]:
    """Find all processes of a run: by its id, by its lock, which only they can have inherited, and by its record."""
    supervisors, marked = processes.find(run_id)
    found = [*supervisors, *marked] or _lock_holders(run_id, os.path.join(base, run_directory.LOCK))
    return found or run_state.recorded(run_state.exit_record(os.path.join(base, run_id)) or {})


def unseen(run_id: str, base: str) -> List[str]:
    """Describe what is left of a run if its processes cannot be named."""
    path = os.path.join(base, run_directory.LOCK)
    if node_lock.holder(path) == run_id and not node_lock.openers(path) and node_lock.holder(path) == run_id:
        return ["a process that you cannot see, which holds the run's lock"]
    record = run_state.exit_record(os.path.join(base, run_id)) or {}
    if record.get("unseen") and not processes.is_still():
        return ["processes that start each other too fast to be found"]
    return []


def _lock_holders(run_id: str, path: str) -> List[int]:
    if node_lock.holder(path) != run_id:
        return []
    # A supervisor that is just taking the lock has not written its own name yet.
    return [pid for pid in node_lock.openers(path) if processes.named(pid) in (None, run_id)]


def stop(run_id: str, base: str, grace: float) -> List[str]:
    """End a run on this node within ``grace`` seconds, and describe what could not be ended."""
    supervisors, _ = processes.find(run_id)
    processes.send(supervisors, signal.SIGTERM)
    # A supervisor that uses all its own time still has to write the record.
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
    """Kill what no supervisor ends, until nothing was found twice in a row, or the time is over."""
    deadline, empty = time.monotonic() + seconds, 0
    while empty < _EMPTY_LOOKS and time.monotonic() < deadline:
        found = left(run_id, base)
        empty = 0 if found else empty + 1
        supervisors, marked = processes.find(run_id)
        if found and not supervisors:
            if not any(map(processes.is_ours_to_end, found)):
                return  # Waiting does not help.
            processes.kill_marked(run_id, marked, signal.SIGKILL)
            processes.send([] if marked else found, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)


def is_over(run_id: str, base: str) -> bool:
    """Return whether nothing of a run is left on this node: no process, and no file that only a supervisor needs."""
    gone = not left(run_id, base) and not unseen(run_id, base)
    return gone and not any(os.path.lexists(os.path.join(base, run_id, name)) for name in run_directory.OF_SUPERVISOR)


def _tidy(run_dir: str) -> None:
    """Remove what a killed supervisor left, on this node and on shared storage."""
    armed = next((event for event in run_state.read_events(run_dir) if event["event"] == events.ARMED), {})
    if isinstance(armed.get("storage"), str) and type(armed.get("node_rank")) is int:
        place = failure_flag.directory(armed["storage"], os.path.basename(run_dir))
        deadlines.together({"leave": (failure_flag.leave, (place, str(armed["node_rank"])))}, _STORAGE_SECONDS)
    small_files.remove(*(os.path.join(run_dir, name) for name in run_directory.OF_SUPERVISOR))


def end(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    End a run on this node.

    Args:
        request: ``run_id``; ``base``, the directory of run directories, or None for the usual one; ``grace`` in
            seconds; ``dry_run``, whether to change nothing; ``halt``, False if a later attempt may start.

    Returns:
        ``changed``; ``known``, whether the run was ever on this node; and ``left``: descriptions of what could not be
        ended. ``failed`` with ``msg`` if a launch in progress may still start the run on this node.
    """
    base = request["base"] or run_directory.base(os.geteuid())
    run_dir = os.path.join(base, request["run_id"])
    if not request["dry_run"] and request.get("halt", True):
        try:
            # This comes first: a supervisor that starts later sees the mark, and one that started before is found
            # below.
            stop_mark.halt(base, request["run_id"])
        except OSError as error:
            if not left(request["run_id"], base) and run_state.exit_record(run_dir) is None:
                return {
                    "failed": True,
                    "msg": "a launch in progress may still start it here: cannot write %s: %s"
                    % (run_dir, reason(error)),
                }
    if is_over(request["run_id"], base):
        known = os.path.isdir(run_dir) and not stop_mark.is_only_halted(run_dir)
        left_there = [] if request["dry_run"] else containers_left(request["run_id"], run_dir)
        return {"changed": False, "known": known, "left": left_there}
    left_there = [] if request["dry_run"] else stop(request["run_id"], base, request["grace"])
    return {"changed": True, "known": True, "left": left_there}


def containers_left(run_id: str, run_dir: str) -> List[str]:
    """Remove the containers of models if their supervisor could not, and return why some are left."""
    try:
        if os.path.exists(os.path.join(run_dir, run_directory.MODEL)):
            docker.remove_of(run_id)
    except (OSError, ValueError) as error:
        return ["containers: %s" % reason(error)]
    return []


def stop_now(request: Dict[str, Any]) -> Dict[str, Any]:
    """Kill what is left of a run on this node; ``left`` describes what could not be ended."""
    return {"left": stop(request["run_id"], os.path.dirname(run_state.directory(request)), 0.0)}
