# SPDX-License-Identifier: Apache-2.0
"""
Have as many open files as this process may while it has agents: every one costs two, and a usual bound is 1024.

What is started on this machine in the meantime keeps the bound of before: it may become a user's job. Private to the
collection.
"""

from __future__ import annotations

import resource
import threading
from typing import Optional, Tuple

_lock = threading.Lock()
_holders = 0
_before: Optional[Tuple[int, int]] = None


def take() -> None:
    """Raise the bound, once for all who take it at the same time."""
    global _holders, _before
    with _lock:
        _holders += 1
        if _holders > 1:
            return
        _before = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (_before[1], _before[1]))
        except (OSError, ValueError):
            pass  # Where more may be said than is allowed, as on macOS, it stays.


def give_back() -> None:
    """Have the bound of before, when nobody else has taken it."""
    global _holders, _before
    with _lock:
        _holders -= 1
        if not _holders and _before is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, _before)
            _before = None


def spare(pid: int) -> None:
    """Give a child the bound of before."""
    change = getattr(resource, "prlimit", None)  # Linux
    with _lock:
        if _before is not None and change is not None:
            try:
                change(pid, resource.RLIMIT_NOFILE, _before)
            except OSError:
                pass  # It has ended, or may not be changed.
