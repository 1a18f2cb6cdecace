# SPDX-License-Identifier: Apache-2.0
"""
The records of runs on this machine, one file per run: enough to reach its nodes again from another shell.

They are a cache: the nodes are authoritative. A record that cannot be written harms no run, but the user must know.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import count, reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import RUN_NAME
from ansible_collections.madctl.multinode.plugins.module_utils._show.plan_text import outline
from madctl.errors import Problem, UsageError, refused
from madctl.nodes.inventory import Targets, without_values
from madctl.records import run_record, verdicts
from madctl.records.run_record import RUN_ID, Record

_MOST_BYTES = 64 << 20  # some ten thousand nodes
_PROBE_BYTES = 64 << 10
_BACK = re.compile("-[1-9][0-9]{0,8}")
_ASK_NODES = "list the runs on nodes: madctl ps --hosts …"


def directory() -> Path:
    """Return the directory of records, which is private to this user."""
    from platformdirs import user_state_path

    return user_state_path("madctl") / "runs"


def prepare() -> None:
    """
    Make sure that a run can be recorded, before it is launched.

    Raises:
        UsageError: If the directory cannot be created or written to.
    """
    partial = directory() / f".probe.{_own()}"
    try:
        _write(partial, "x" * _PROBE_BYTES)
        partial.unlink()
    except OSError as error:
        remedy = "free some space there, or set XDG_STATE_HOME to another directory"
        message = f"cannot write records of runs to {directory()}: {reason(error)}"
        raise refused("RECORD_UNWRITABLE", message, remedy=remedy) from error


def create(
    plan: dict[str, Any],
    targets: Targets,
    work: list[Any],
    ways: dict[str, Any] | None = None,
    name: str | None = None,
    note: str | None = None,
) -> Record:
    """
    Make the record of a run that is about to start.

    Args:
        ways: How its nodes are reached, see ``nodes.reach``.
    """
    reach = {"names": _hosts(plan), "inventory": without_values(targets.inventory), "sources": list(targets.sources)}
    created, told = time.time(), outline(plan)
    return Record(plan["run_id"], created, work, reach, told, ways=ways, name=name, note=note, code=plan.get("code"))


def restarted(record: Record, plan: dict[str, Any]) -> Record:
    """Make the record of a run that was restarted on the nodes of another plan."""
    targets = {**record.targets, "names": _hosts(plan)}
    return replace(record, plan=outline(plan), targets=targets, attempts=record.attempts + 1, seen=time.time())


def _hosts(plan: dict[str, Any]) -> list[str]:
    return [node["host"] for node in plan["nodes"]]


def results(run_id: str) -> Path:
    """Return the path of the file with the model results of all nodes."""
    return directory() / f"{run_id}.perf.csv"


def diff(run_id: str) -> Path:
    """Return the path of the file with the difference between a run's code and its commit."""
    return directory() / f"{run_id}.diff"


def save_diff(run_id: str, content: bytes) -> Problem | None:
    """Write the difference between a run's code and its commit, if there is any."""
    try:
        if content:
            _write(diff(run_id), content)
    except OSError as error:
        message = f"{diff(run_id)} could not be written: {reason(error)}"
        return Problem("RECORD_UNWRITABLE", message, remedy="free some space there")
    return None


def save(record: Record) -> Problem | None:
    """Write a record atomically; if that fails, return how to find the run again."""
    place = directory()
    partial = place / f".{record.run_id}.{_own()}"
    try:
        _write(partial, run_record.dumped(record))
        partial.replace(place / f"{record.run_id}.json")
    except OSError as error:
        partial.unlink(missing_ok=True)
        message = f"the record of run {record.run_id} could not be written to {place}: {reason(error)}"
        remedy = f"to find the run again: madctl ps --hosts {','.join(record.targets['names'])}"
        return Problem("RECORD_UNWRITABLE", message, remedy=remedy)
    return None


def _own() -> str:
    """Return a suffix for file names that no other process or thread uses at the same time."""
    return f"{os.getpid()}.{threading.get_ident()}"


def update(record: Record) -> tuple[Record, Problem | None]:
    """
    Write an updated record, but never overwrite the end of a run, which another command may have recorded.

    Returns:
        The record as it is now, and a problem if it could not be written.
    """
    try:
        kept = read(record.run_id)
    except UsageError:
        return record, save(record)
    if verdicts.has_ended(kept) and not verdicts.has_ended(record):
        record = replace(kept, ways=record.ways or kept.ways)
        if record == kept:
            return kept, None
    return record, save(record)


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def story(run_id: str) -> Path:
    """Return the path of the file with a run's story: what happened, and when."""
    return directory() / f"{run_id}.story"


def forget(record: Record) -> None:
    """Remove a record, and the files beside it."""
    (directory() / f"{record.run_id}.json").unlink(missing_ok=True)
    for path in (story(record.run_id), diff(record.run_id)):
        path.unlink(missing_ok=True)


def names() -> list[str]:
    """
    List the IDs of recorded runs, oldest first; they sort by time.

    Raises:
        UsageError: If the directory cannot be read.
    """
    try:
        entries = os.listdir(directory())
    except FileNotFoundError:
        return []
    except OSError as error:
        message = f"cannot list the records of runs in {directory()}: {reason(error)}"
        raise refused("RECORD_UNREADABLE", message, remedy=_ASK_NODES) from error
    found = [entry[: -len(".json")] for entry in entries if entry.endswith(".json")]
    return sorted(name for name in found if RUN_ID.fullmatch(name))


def known() -> tuple[list[Record], list[Problem]]:
    """Read all records, oldest first; report all unreadable ones as one problem."""
    found: list[Record] = []
    broken: list[Problem] = []
    for name in names():
        try:
            found.append(read(name))
        except UsageError as error:
            broken += error.problems
    if len(broken) < 2:
        return found, broken
    message = f"{count(len(broken), 'record')} cannot be read, the first: {broken[0].message}"
    return found, [replace(broken[0], message=message)]


def load(run_id: str | None) -> Record:
    """
    Find a run by its ID, its name, the beginning of its ID, or ``-1`` for the latest and ``-2`` for the one before.

    Without an argument, it is the latest run. A name means the newest run that has it.

    Raises:
        UsageError: If there is no such run, or several, or its record cannot be read.
    """
    present = names()
    if run_id is None:
        if not present:
            raise refused("RUN_UNKNOWN", "no runs yet")
        return read(present[-1])
    if _BACK.fullmatch(run_id):
        back = int(run_id[1:])
        if back > len(present):
            raise refused("RUN_UNKNOWN", f"there is no run {run_id}", remedy="see madctl ps")
        return read(present[-back])
    if run_id not in present:
        named = called(run_id)
        if named:
            return named
    found = _chosen(present, run_id)
    if len(found) != 1:
        what = "several runs begin" if found else "no run is called or begins"
        raise refused("RUN_UNKNOWN", f"{what} with {run_id or 'nothing'}", remedy="see madctl ps")
    return read(found[0])


def called(name: str) -> Record | None:
    """Return the newest run with a name, if there is one."""
    if not RUN_NAME.fullmatch(name):
        return None
    return next((record for record in reversed(known()[0]) if record.name == name), None)


def _chosen(present: Sequence[str], run_id: str) -> list[str]:
    """Return the run with that ID, otherwise those whose IDs begin with it; a run and its restarts count as one."""
    if run_id in present:
        return [run_id]
    found = [name for name in present if run_id and name.startswith(run_id)]
    first = min(found, key=len, default="")
    return [first] if found and all(name == first or name.startswith(first + ".") for name in found) else found


def read(run_id: str) -> Record:
    """
    Read the record of a run.

    Raises:
        UsageError: If it is not a valid record; the message has its path.
    """
    path = directory() / f"{run_id}.json"
    try:
        text, is_own = _content(path)
        record = run_record.parsed(run_id, text)
        # Ways to nodes, configurations that name plugins or programs, and the options of a rerun all lead to command
        # lines on this machine, so they are taken only from a file that nobody else can have written.
        job = record.job and {key: value for key, value in record.job.items() if key not in ("conf", "kubeconfig")}
        return record if is_own else replace(record, ways=None, job=job, typed=None)
    except (OSError, ValueError) as error:
        remedy = f"to forget the run here: rm -r {path}; its nodes still know it: madctl ps --hosts …"
        raise refused("RECORD_UNREADABLE", f"{path}: {reason(error)}", remedy=remedy) from error


def _content(path: Path) -> tuple[bytes, bool]:
    """Read a regular file; return its content, and whether only this user can have written it."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a file")
        if status.st_size > _MOST_BYTES:
            raise ValueError("it is too large for a record")
        is_own = status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return stream.read(_MOST_BYTES), is_own
