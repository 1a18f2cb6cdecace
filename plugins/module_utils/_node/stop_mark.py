# SPDX-License-Identifier: Apache-2.0
"""
Keep a run that was stopped from starting on a node, even if it is not armed yet.

The mark is a file ``stopped`` in the run's directory. A stop writes it first and then looks for processes; a
supervisor is a process first and then looks for the file: so one of them sees the other. If only the mark exists, its
directory makes arming fail. Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory

# A name that cannot lead out of the directory of runs.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+@=,-]{0,199}\Z")


def halt(base: str, run_id: str) -> None:
    """
    Forbid a run, and all later attempts at it, to start on this node.

    Args:
        base: The directory of run directories.

    Raises:
        OSError: If the run could still start.
    """
    if not _NAME.match(run_id):
        raise OSError(errno.EINVAL, "not the id of a run")
    try:
        os.makedirs(base, 0o700, exist_ok=True)
        if os.lstat(base).st_uid != os.geteuid():
            return  # No run is armed in another user's directory.
        run_dir = os.path.join(base, run_id)
        if not os.path.isdir(run_dir):
            _make(run_dir)
        if not os.path.lexists(os.path.join(run_dir, run_directory.STOPPED)):
            _write(os.path.join(run_dir, run_directory.STOPPED), b"")
    except OSError as error:
        if error.errno != errno.EROFS:  # No run can be armed there either.
            raise


def _make(run_dir: str) -> None:
    """Make a directory that is complete from its first moment, unless a launch makes it first."""
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
    Return whether a run was stopped.

    Args:
        origin: The id of its first attempt: stopping an earlier attempt also stops this one.
    """
    base, run_id = os.path.split(run_dir)
    attempts = [name for name in os.listdir(base) if name == origin or name.startswith(origin + ".")]
    return any(os.path.lexists(os.path.join(base, name, run_directory.STOPPED)) for name in {run_id, *attempts})


def is_only_halted(run_dir: str) -> bool:
    """Return whether a directory contains no run, but only keeps one from starting."""
    try:
        parts = set(os.listdir(run_dir))
    except OSError:
        return False
    return run_directory.STOPPED in parts and parts <= {run_directory.STOPPED, run_directory.RECORD}
