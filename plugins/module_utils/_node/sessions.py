# SPDX-License-Identifier: Apache-2.0
"""End one of our children with everything that it started in its session. Delivered beside the supervisor; private."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import List

from ansible_collections.madctl.multinode.plugins.module_utils._node import procfs

# A process may have started another one just before it was killed.
_LOOKS = 3


def end(leader: int) -> None:
    """Kill the leader of a session, and everything that it started in it."""
    _kill(leader)  # The leader first, so that it starts nothing else; it may not have created its session yet.
    for _ in range(_LOOKS):
        killed = [pid for pid in _members(leader) if _kill(pid)]
        if not killed:
            break


def _kill(pid: int) -> bool:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _members(leader: int) -> List[int]:
    """Return the processes of a session, in any process group, except its leader."""
    found = []
    for pid in procfs.numbered():
        with contextlib.suppress(OSError):
            if pid != leader and os.getsid(pid) == leader:
                found.append(pid)
    return found
