# SPDX-License-Identifier: Apache-2.0
"""End a session of processes, whatever groups they are in. Private to the collection."""

from __future__ import annotations

import os
import signal
from typing import List

# What is killed may have started something just before.
_LOOKS = 3


def end(leader: int) -> None:
    """Kill a session, its leader first, so that it starts nothing more; it may not have made its session yet."""
    _kill(leader)
    for _ in range(_LOOKS):
        killed = [pid for pid in _others(leader) if _kill(pid)]
        if not killed:
            break


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def _others(leader: int) -> List[int]:
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if pid != leader and os.getsid(pid) == leader:
                found.append(pid)
        except OSError:
            pass
    return found
