# SPDX-License-Identifier: Apache-2.0
"""
Keep a run that was stopped from starting on a node, also one that was not armed there yet.

A file ``stopped`` in a run's directory says so. Whoever stops writes it first and looks for processes
then; a supervisor is a process first and looks for the file then: so one of them sees the other. A
directory that was made for the file alone makes arming fail. Delivered beside the supervisor; private to
the collection.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory

# Nothing that leads out of the directory of runs.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+@=,-]{0,199}\Z")


def halt(base: str, run_id: str) -> None:
    """
    Forbid a run, and all later attempts at it, to start on this node.

    Args:
        base: The directory that holds run directories.

    Raises:
        OSError: If it could start all the same.
    """
    if not _NAME.match(run_id):
        raise OSError(errno.EINVAL, "that is not the id of a run")
    try:
        os.makedirs(base, 0o700, exist_ok=True)
        if os.lstat(base).st_uid != os.geteuid():
            return  # Nobody arms in what belongs to somebody else.
        _mark(os.path.join(base, run_id))
    except OSError as error:
        if error.errno != errno.EROFS:  # There, nothing can be armed either.
            raise


def _mark(run_dir: str) -> None:
    if not os.path.isdir(run_dir):
        _make(run_dir)
    if not os.path.lexists(os.path.join(run_dir, run_directory.STOPPED)):
        _write(os.path.join(run_dir, run_directory.STOPPED), b"")


def _make(run_dir: str) -> None:
    """Make a directory that is whole from its first moment; one that a launch makes first is left to it."""
    base, run_id = os.path.split(run_dir)
    away = os.path.join(base, "%s%d-%s" % (run_directory.GONE, os.getpid(), run_id))
    os.mkdir(away, 0o700)
    _write(os.path.join(away, run_directory.RECORD), json.dumps(_record()).encode())
    _write(os.path.join(away, run_directory.STOPPED), b"")
    try:
        os.rename(away, run_dir)
    except OSError:
        for name in (run_directory.RECORD, run_directory.STOPPED):
            os.unlink(os.path.join(away, name))
        os.rmdir(away)
        if not os.path.isdir(run_dir):
            raise


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _record() -> object:
    return {
        "outcome": run_directory.DISARMED,
        "time": time.time(),
        "exit_code": None,
        "signal": None,
        "oom": False,
        "ranks_joined": 0,
        "rank_exits": [],
        "stopped": True,
        "reason": run_directory.Reason.STOPPED,
        "daemon": None,
        "left_behind": [],
        "bytes_lost": 0,
    }


def is_halted(run_dir: str, origin: str) -> bool:
    """
    Tell whether a run was stopped.

    Args:
        origin: The id of its first attempt: who stopped an earlier one means this one, too.
    """
    base, run_id = os.path.split(run_dir)
    attempts = [name for name in os.listdir(base) if name == origin or name.startswith(origin + ".")]
    return any(os.path.lexists(os.path.join(base, name, run_directory.STOPPED)) for name in {run_id, *attempts})


def is_only_halted(run_dir: str) -> bool:
    """Tell whether a directory holds no run, but only keeps one from starting."""
    try:
        parts = set(os.listdir(run_dir))
    except OSError:
        return False
    return run_directory.STOPPED in parts and parts <= {run_directory.STOPPED, run_directory.RECORD}
