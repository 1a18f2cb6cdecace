# SPDX-License-Identifier: Apache-2.0
"""
Let Python end only when the threads of torch's Gloo are idle; installed as sitecustomize of the guides' packages.

The frameworks keep their process group until Python ends. A thread of it that is late, on a busy machine, then aborts
the process: docs/how_to/troubleshooting.md has the cause. With NCCL, for which the guides are, there are no such threads.
"""

import atexit
import contextlib
import pathlib
import time


def _is_idle(task):
    """Return whether a thread waits for work: in a futex without a time limit, which Python's own lock has."""
    call = (task / "syscall").read_text().split()
    return len(call) > 4 and call[4] == "0x0"


def _wait():
    deadline = time.monotonic() + 60
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # It has ended.
            if (task / "comm").read_text() == "pt_gloo_runloop\n":
                while not _is_idle(task) and time.monotonic() < deadline:
                    time.sleep(0.01)


atexit.register(_wait)
