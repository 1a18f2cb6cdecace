# SPDX-License-Identifier: Apache-2.0
"""
Find processes that hold GPUs, and describe them. Private to the collection.

Reading a process's files can hang if the process itself hangs, so the files of a process in an uninterruptible wait are
not read.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import kfd, procfs, small_files

UNKNOWN = "unknown"
# A command line may have megabytes.
_CHARACTERS, _NAME_CHARACTERS = 300, 256
# They always hold every NVIDIA GPU and compute nothing; the kernel truncates names to 15 characters.
_WATCHERS = ("nvidia-persiste", "nv-hostengine", "dcgm-exporter")


def amd(root: str, index_of: Dict[str, int]) -> List[Dict[str, Any]]:
    """Return the processes with memory or a queue on a GPU, for which KFD has its own numbers."""
    holders = []
    processes = os.path.join(root, kfd.PLACE, "proc")
    for pid in procfs.numbered(processes):
        process = os.path.join(processes, str(pid))
        held = {small_files.text(path) for path in glob.glob(os.path.join(process, "queues/*/gpuid"))}
        for path in glob.glob(os.path.join(process, "vram_*")):
            if (small_files.text(path) or "0") != "0":
                held.add(path.rpartition("_")[2])
        indices = sorted(index_of[number] for number in held if number in index_of)
        if held:
            holders += holder(root, pid, indices)
    return holders


def nvidia(root: str, index_of: Dict[str, int]) -> List[Dict[str, Any]]:
    """Return the processes that have a GPU's device open."""
    holders, proc = [], os.path.join(root, "proc")
    for pid in procfs.numbered(proc):
        if small_files.text(os.path.join(proc, str(pid), "comm")) in _WATCHERS:
            continue
        opened = set(procfs.targets(procfs.open_files(pid, proc)))
        indices = sorted(index_of[device] for device in opened if device in index_of)
        if indices:
            holders += holder(root, pid, indices)
    return holders


def holder(root: str, pid: int, indices: List[int]) -> List[Dict[str, Any]]:
    """Describe a process, in a list of one; empty for this process itself."""
    if pid == os.getpid():
        return []
    proc = os.path.join(root, "proc")
    process = os.path.join(proc, str(pid))
    stat = procfs.fields(pid, proc)
    stuck = stat[:1] == ["D"]
    mark = run_directory.MARK.encode()
    marks = [] if stuck else [entry for entry in procfs.environment(pid, proc) if entry.startswith(mark)]
    words = None if stuck else small_files.text(os.path.join(process, "cmdline"))
    name = small_files.text(os.path.join(process, "comm")) or ""
    return [
        {
            "pid": pid,
            "user": _user(process)[:_NAME_CHARACTERS],
            "command": (words or "")[: 2 * _CHARACTERS].replace("\0", " ").strip()[:_CHARACTERS] or name,
            "age_seconds": _age(root, stat),
            "run_id": marks[0][len(mark) :].decode("utf-8", "replace")[:_CHARACTERS] if marks else None,
            "gpus": indices,
        }
    ]


def _user(process: str) -> str:
    """Return the user of a process, by number if the name is unknown."""
    found = re.search(r"^Uid:\s+(\d+)", small_files.text(os.path.join(process, "status")) or "", re.MULTILINE)
    if found is None:
        return UNKNOWN
    try:
        return pwd.getpwuid(int(found.group(1))).pw_name
    except KeyError:
        return found.group(1)


def _age(root: str, stat: Sequence[str]) -> Optional[float]:
    """Return a process's age in seconds; ``stat`` begins with the third field of its file."""
    uptime = (small_files.text(os.path.join(root, "proc/uptime")) or "").split()
    if len(stat) < 20 or not uptime:
        return None
    return round(max(0.0, float(uptime[0]) - int(stat[19]) / os.sysconf("SC_CLK_TCK")), 2)
