# SPDX-License-Identifier: Apache-2.0
"""
The lock of a node: the process that holds the open file holds the node, and the file names its run.

The lock is inherited, so it is held as long as the supervisor or its runner lives. Delivered beside the supervisor;
private to the collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._node import procfs, small_files

_BYTES = 256
# A process that checks who holds the lock also holds it for a moment, which a busy node may prolong.
_CHECK_SECONDS, _PROLONGED_SECONDS = 0.5, 20.0
_PAUSE_SECONDS = 0.02


def take(path: str) -> int:
    """
    Take the lock, and return the open file; the caller writes the name of its run to it.

    Raises:
        OSError: If another run has it.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    began = time.monotonic()
    while not _is_got(lock, fcntl.LOCK_EX):
        waited = time.monotonic() - began
        # A run does not share the lock.
        if waited > _PROLONGED_SECONDS or waited > _CHECK_SECONDS and not _is_got(lock, fcntl.LOCK_SH):
            raise OSError("already used by run %s" % _name(os.read(lock, _BYTES)))
        fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(_PAUSE_SECONDS)
    return lock


def _is_got(lock: int, kind: int) -> bool:
    """Try to take an open lock, and return whether that worked."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def holder(path: str) -> Optional[str]:
    """Return the run that holds a lock, "unknown" if it has no name yet, or None if the lock is free."""
    with contextlib.suppress(OSError), os.fdopen(small_files.opened(path), "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _name(stream.read(_BYTES))
    return None


def _name(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip() or "unknown"


def openers(path: str) -> List[int]:
    """Return the other processes that have a lock open, as far as this user may see them."""
    lock = os.stat(path)
    return [pid for pid in procfs.numbered() if pid != os.getpid() and _has_open(pid, lock)]


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    for path in procfs.open_files(pid):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(path), wanted):
                return True
    return False
