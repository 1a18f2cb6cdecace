# SPDX-License-Identifier: Apache-2.0
"""
Raise the limit of open files while this process has agents: each costs two, and a common limit is 1024.

Programs that are started on this machine in the meantime keep the earlier limit: one may become a user's job. Private
to the collection.
"""

from __future__ import annotations

import contextlib
import resource
import threading
from typing import Optional, Tuple

_lock = threading.Lock()
_holders = 0
_before: Optional[Tuple[int, int]] = None


def take() -> None:
    """Raise the limit, once for all callers that hold it at the same time."""
    global _holders, _before
    with _lock:
        _holders += 1
        if _holders > 1:
            return
        _before = resource.getrlimit(resource.RLIMIT_NOFILE)
        # If the hard limit cannot be used, as on macOS, the limit stays.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (_before[1], _before[1]))


def give_back() -> None:
    """Restore the earlier limit when no other caller holds it."""
    global _holders, _before
    with _lock:
        _holders -= 1
        if not _holders and _before is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, _before)
            _before = None


def spare(pid: int) -> None:
    """Give a child the earlier limit."""
    change = getattr(resource, "prlimit", None)  # Linux
    with _lock:
        if _before is not None and change is not None:
            with contextlib.suppress(OSError):  # It has ended, or must not be changed.
                change(pid, resource.RLIMIT_NOFILE, _before)
