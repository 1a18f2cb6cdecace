# SPDX-License-Identifier: Apache-2.0
"""
Set the command line of this process, which ``ps`` shows, and by which a run's supervisor is found.

A process that is forked and not executed has the command line of its parent. Private to the collection.
"""

from __future__ import annotations

import os
from typing import Sequence


def become(words: Sequence[str]) -> bool:
    """Overwrite the command line, and return whether that worked: the words must fit, and the kernel must allow it."""
    try:
        with open("/proc/self/stat", "rb") as stream:
            # The address of the command line in memory: proc_pid_stat(5), fields 48 and 49.
            begin, end = map(int, stream.read().rpartition(b")")[2].split()[45:47])
        data = b"\0".join(map(os.fsencode, words)) + b"\0"
        if not begin or len(data) > end - begin:
            return False
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(begin)
            memory.write(data.ljust(end - begin, b"\0"))
        with open("/proc/self/cmdline", "rb") as stream:
            return stream.read().startswith(data)
    except (OSError, ValueError):
        return False
