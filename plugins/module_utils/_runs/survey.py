# SPDX-License-Identifier: Apache-2.0
"""
Find the files of runs on one node. Private to the collection.

A base directory contains one directory per run, ``bin-<hash>`` directories with programs that runs share, and ``lock``.
A job can put anything into its run's directory: sizes are bounded, symbolic links are never followed, and a directory
that does not look like a run's is ignored.
"""

from __future__ import annotations

import base64
import contextlib
import glob
import os
import re
import stat
from typing import Any, Dict, List, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import node_answers, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, procfs, small_files, stop_mark
from ansible_collections.madctl.multinode.plugins.module_utils._runs import evidence, run_state

# With a number appended after a restart.
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4,}(\.\d+)?\Z")
# With a number appended while they are written.
PROGRAMS = re.compile(run_directory.PROGRAMS + r"[0-9a-f]{8,64}(\.\d+)?\Z")
_OF_A_RUN = {run_directory.BIN, run_directory.LOGS, run_directory.HOST_FILE, run_directory.EVENTS}
RECORD_BYTES = 1 << 20
_MOST_CODE = 1024
_EVIDENCE = ("failure", "began", "told_to_stop", "clock")


class Processes:
    """The use of runs by all processes of this node: one pass over ``/proc`` for all runs."""

    def __init__(self) -> None:
        self.marked: Set[bytes] = set()
        self.supervised: Set[bytes] = set()
        self._words = [b""]
        self._places: List[bytes] = []
        own = os.getpid()
        for pid in procfs.numbered():
            if pid != own:
                self._look(pid)
        self._said = b"\0".join([*self._words, b""])

    def _look(self, pid: int) -> None:
        words = procfs.read("/proc/%d/cmdline" % pid).split(b"\0")
        self._words += words
        run_dir = processes.run_dir_of(words)
        if run_dir is not None:
            self.supervised.add(os.path.basename(run_dir))
        run = processes.mark_of(pid)
        if run is not None:
            self.marked.add(run)
        with contextlib.suppress(OSError):
            self._places.append(os.fsencode(os.readlink("/proc/%d/cwd" % pid)))

    def use(self, name: str, path: str) -> bool:
        """Return whether any process belongs to a run, works in its directory, or names it on its command line."""
        mark, place = os.fsencode(name), os.fsencode(path)
        parts = (first + mark + last for first in (b"\0", b"/") for last in (b"\0", b"/"))
        if mark in self.marked or any(part in self._said for part in parts):
            return True
        return any(found == place or found.startswith(place + b"/") for found in self._places)


def survey(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    List the runs whose directories are on this node.

    Args:
        request: ``run_dir``, the base directory or None for the default, and ``bases``, more of them.

    Returns:
        ``runs``: for each ``run_id``, ``run_dir``, ``state``, ``exit`` (how it ended, or None), the evidence of a
        failure (see ``evidence``) and ``described`` (the contents of its ``run.json``, or None if that is missing or
        invalid).
    """
    places = [(name, os.path.join(base, name)) for base in bases(request) for name in names(base)]
    processes = Processes()
    runs = []
    for name, path in places:
        if node_answers.is_run_id(name) and is_run(name, path) and not stop_mark.is_only_halted(path):
            record = _exit(path)
            known = {"run_id": name, "run_dir": path, "state": "exited", "exit": record}
            more = _evidence(path) if record else _state(name, path, os.fsencode(name) in processes.supervised)
            runs.append({**known, **more, "described": description(path, name)})
    return {"runs": sorted(runs, key=lambda run: str(run["run_id"]))[-node_answers.RUNS :]}


def alive(request: Dict[str, Any]) -> Dict[str, Any]:
    """List the runs that have a process on this node, whatever their directories contain."""
    places = [(name, os.path.join(base, name)) for base in bases(request) for name in names(base)]
    processes = Processes()
    used = [name for name, path in places if is_run(name, path) and processes.use(name, path)]
    return {"alive": sorted({*used, *map(os.fsdecode, processes.marked)})}


# -- directories ---------------------------------------------------------------------------------------


def bases(request: Dict[str, Any]) -> List[str]:
    """Return the existing base directories of this user, each once."""
    default = run_directory.base(os.geteuid())
    found: List[str] = []
    # A killed job leaves its own directory behind.
    usual = [request["run_dir"]] if request.get("run_dir") else [default, *sorted(glob.glob(default + "-[0-9]*"))]
    for base in [*usual, *(request.get("bases") or [])]:
        try:
            ours = os.lstat(base).st_uid == os.geteuid() == os.stat(base).st_uid and os.path.isdir(base)
        except (OSError, ValueError):
            continue
        path = os.path.realpath(base)
        if ours and path not in found:
            found.append(path)
    return found


def names(base: str) -> List[str]:
    """Return the names of this user's directories in a base, without symbolic links."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(base):
            status = os.lstat(os.path.join(base, name))
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                found.append(name)
    return sorted(found)


def is_run(name: str, path: str) -> bool:
    """Return whether a directory is a run's: a base that was chosen with --run-dir may contain anything else."""
    try:
        parts = set(os.listdir(path))
    except OSError:
        return False
    if stop_mark.is_only_halted(path):
        return not name.startswith(run_directory.GONE)
    if RUN_ID.match(name):
        return parts <= {run_directory.LOGS} or {run_directory.BIN, run_directory.LOGS} <= parts
    # A run with a name that the user chose shows that a supervisor was here.
    return not name.startswith(run_directory.GONE) and parts >= _OF_A_RUN


def _state(name: str, path: str, supervised: bool) -> Dict[str, Any]:
    """Return the state of a run that has not ended, as ``status`` shows it, and the evidence of a failure."""
    try:
        found = run_state.look({"run_id": name, "run_dir": path})
        return {key: found[key] for key in ("state", *_EVIDENCE)}
    except (OSError, LookupError, TypeError, AttributeError, ValueError, RecursionError):
        # The events are not from a supervisor.
        return {"state": "running" if supervised else "lost"}


def _evidence(path: str) -> Dict[str, Any]:
    """Return why a run ended on this node; the events of a success are not needed."""
    record = run_state.exit_record(path)
    is_good = record is not None and (record["outcome"], record["exit_code"]) == (run_directory.EXITED, 0)
    happened = [] if record is not None and is_good and not record["stopped"] else run_state.read_events(path)
    try:
        return evidence.found(path, record, happened, with_logs=False)
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return {}


def has_ended(path: str) -> bool:
    """Return whether a run's directory has a record of its end."""
    return small_files.is_regular(os.path.join(path, run_directory.RECORD))


def _exit(path: str) -> Optional[Dict[str, Any]]:
    """Return how a run ended; None until it has. An unreadable record also counts as an end."""
    if not has_ended(path):
        return None
    record = small_files.read_object(os.path.join(path, run_directory.RECORD), RECORD_BYTES) or {}
    code = record.get("exit_code")
    evidence = {
        key: record[key] for key, shape in node_answers.EVIDENCE.items() if key in record and shape(record[key])
    }
    return {
        **evidence,
        "outcome": record["outcome"] if _is_text(record.get("outcome"), 64) else "unknown",
        "exit_code": code if type(code) is int and abs(code) < _MOST_CODE else None,
        "stopped": record.get("stopped") is True,
    }


def description(path: str, name: str) -> Optional[Dict[str, Any]]:
    """Read the description of the whole run in its directory; None unless it is entirely valid."""
    found = small_files.read_object(os.path.join(path, run_directory.DESCRIPTION), RECORD_BYTES) or {}
    addresses = found.pop("addresses", None)
    if not node_answers.is_described(found) or found["run_id"] != name:
        return None
    hosts, plan = found["hosts"], {key: found["plan"][key] for key in node_answers.PLAN_KEYS}
    names = [found["host"], *hosts, *(value for value in plan.values() if isinstance(value, str))]
    if not all(map(_is_text, names)) or not all(map(_is_word, found["work"])):
        return None
    whole = {key: found[key] for key in ("run_id", "created", "host", "node_rank", "hosts", "work")}
    whole.update({key: found.get(key) for key in ("name", "note")})
    known = isinstance(addresses, list) and len(addresses) == len(hosts) and all(map(_is_text, addresses))
    return dict(whole, plan=plan, addresses=addresses if known else None)


def _is_text(value: Any, most: int = 255) -> bool:
    with contextlib.suppress(UnicodeEncodeError):
        return isinstance(value, str) and value.isprintable() and 0 < len(value.encode()) <= most
    return False


def _is_word(value: Any) -> bool:
    """Return whether a word of a description can be unpacked; see ``raw_words``."""
    with contextlib.suppress(ValueError):
        data = base64.b64decode(value["base64"], validate=True) if isinstance(value, dict) else value.encode()
        return isinstance(data, bytes)
    return False
