# SPDX-License-Identifier: Apache-2.0
"""
Measure the resource usage of a node and of a run's ranks on it: counters, from which ``_common.usage`` computes shares.

Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._node import log_segments, procfs, small_files

# More of either has no place on a screen; the job controls both numbers.
MOST_RANKS = 4096
_EVENTS_BYTES = 1 << 24
# Fields of a process's ``stat`` from the third one: its parent, four times in ticks, its start, its memory in pages.
_PARENT, _TIMES, _START, _PAGES = 1, slice(11, 15), 19, 21
_KEPT = (events.STARTED, events.JOINED, events.RANK_EXIT, events.STOPPING)


class Process(NamedTuple):
    """A process: its parent, its CPU seconds including those of collected children, its memory, its age."""

    parent: int
    seconds: float
    memory: int
    age: float


class Rank(NamedTuple):
    """A rank that has joined: its process, and whether it has ended."""

    pid: int
    has_ended: bool = False


class Job(NamedTuple):
    """The part of a run on this node: the processes that start ranks, since when, the ranks; whether it must end."""

    runners: List[int]
    began: Optional[float]
    ranks: Dict[int, Rank]
    is_stopping: bool = False


def job(run_dir: str) -> Job:
    """Read from the events of a run on this node which processes belong to it."""
    try:
        data = small_files.read(os.path.join(run_dir, run_directory.EVENTS), _EVENTS_BYTES)
    except OSError:
        data = b""
    lines = (wire.parse_or_none(line) for line in data.split(b"\n") if any(kind in line for kind in _WANTED))
    return _job([event for event in lines if event is not None and events.is_told(event)])


_WANTED = tuple(('"%s"' % kind).encode() for kind in _KEPT)


def _job(told: Iterable[Dict[str, Any]]) -> Job:
    runners: List[int] = []
    began: Optional[float] = None
    ranks: Dict[int, Rank] = {}
    is_stopping = False
    for event in told:
        kind, rank = event["event"], event.get("rank")
        is_stopping = is_stopping or kind == events.STOPPING
        if kind == events.STARTED:
            runners.append(event["pid"])
            began = began if began is not None else event.get("time")
        elif kind == events.JOINED and rank is not None and len(ranks) < MOST_RANKS:
            ranks[rank] = Rank(event["pid"])
        elif kind == events.RANK_EXIT and rank in ranks:
            ranks[rank] = ranks[rank]._replace(has_ended=True)
    return Job(runners, began, ranks, is_stopping)


# -- processes --------------------------------------------------------------------------------------


def processes(proc: str = procfs.PROC) -> Dict[int, Process]:
    """Return all processes of this node."""
    tick, page, now = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"), time.clock_gettime(time.CLOCK_BOOTTIME)
    found = {}
    for pid in procfs.numbered(proc):
        fields = procfs.fields(pid, proc)
        if len(fields) > _PAGES:
            seconds = sum(map(int, fields[_TIMES])) / tick
            age = max(0.0, now - int(fields[_START]) / tick)
            found[pid] = Process(int(fields[_PARENT]), seconds, int(fields[_PAGES]) * page, age)
    return found


def families(known: Dict[int, Process], heads: Iterable[int]) -> Dict[int, Set[int]]:
    """Return each of some processes with its descendants, except those that are below another one of them."""
    below: Dict[int, List[int]] = {}
    for pid, process in known.items():
        below.setdefault(process.parent, []).append(pid)
    wanted = set(heads)
    found: Dict[int, Set[int]] = {}
    for head in wanted:
        family: Set[int] = set()
        waiting = [head] if head in known else []
        while waiting:
            pid = waiting.pop()
            family.add(pid)
            waiting += [child for child in below.get(pid, []) if child not in wanted and child not in family]
        found[head] = family
    return found


def spent(known: Dict[int, Process], family: Set[int], proc: str = procfs.PROC) -> Dict[str, Any]:
    """Return the resources that a family of processes has used so far, and holds."""
    return {
        "cpu_seconds": round(sum(known[pid].seconds for pid in family), 2),
        "memory_bytes": _memory(known, family, proc),
        "processes": len(family),
    }


def _memory(known: Dict[int, Process], family: Set[int], proc: str) -> int:
    """
    Return how much memory processes hold: each one's own, and the largest part that any of them shares.

    For the exact number, the kernel would have to walk the page tables of the job again and again.
    """
    own, most = 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in family:
        words = procfs.read("%s/%d/statm" % (proc, pid)).split()
        shared = min(int(words[2]) * page, known[pid].memory) if len(words) > 2 else 0
        own, most = own + known[pid].memory - shared, max(most, shared)
    return own + most


# -- the node ---------------------------------------------------------------------------------------


def cpu(proc: str = procfs.PROC) -> Dict[str, Any]:
    """Return the busy ticks of the node's processors, all ticks, and the number of processors."""
    lines = [line.split() for line in procfs.read(proc + "/stat").splitlines() if line.startswith(b"cpu")]
    numbers = list(map(int, lines[0][1:9])) if lines else [0]
    # The fourth is idle, the fifth waits for a disk.
    return {"busy": sum(numbers) - sum(numbers[3:5]), "total": sum(numbers), "cores": max(1, len(lines) - 1)}


def memory(pid: int, root: str = "/") -> Dict[str, Any]:
    """
    Return how much memory is in use and how much there is: of the node, or of the tightest limit on a process.

    Args:
        pid: A process of the job; another one may have other limits.
        root: The directory of ``proc`` and ``sys``.
    """
    words = (line.split() for line in procfs.read(os.path.join(root, "proc/meminfo")).decode().splitlines())
    known = {line[0].rstrip(":"): int(line[1]) * 1024 for line in words if len(line) > 1 and line[1].isdigit()}
    total = known.get("MemTotal", 0)
    free = known.get("MemAvailable", known.get("MemFree", 0))
    limits = [limit for limit in _limits(pid, root) if limit[1] < total]
    used, most = min(limits, key=lambda limit: limit[1] - limit[0], default=(max(0, total - free), total))
    return {"used": used, "total": most}


def _limits(pid: int, root: str) -> List[Tuple[int, int]]:
    """Return usage and limit of each control group around a process that has a limit, in versions 2 and 1."""
    found = []
    for line in procfs.read(os.path.join(root, "proc/%d/cgroup" % pid)).decode("utf-8", "replace").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            found += _around(os.path.join(root, "sys/fs/cgroup"), path, "memory.current", "memory.max", "inactive_file")
        elif "memory" in controllers.split(","):
            place, used, most = "sys/fs/cgroup/memory", "memory.usage_in_bytes", "memory.limit_in_bytes"
            found += _around(os.path.join(root, place), path, used, most, "total_inactive_file")
    return found


def _around(place: str, path: str, current: str, most: str, cache: str) -> List[Tuple[int, int]]:
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    found = []
    for depth in range(len(parts) + 1):
        group = os.path.join(place, *parts[:depth])
        limit = small_files.text(os.path.join(group, most), 32) or ""
        used = small_files.text(os.path.join(group, current), 32) or ""
        if limit.isdigit() and used.isdigit():
            lines = (line.split() for line in (small_files.text(os.path.join(group, "memory.stat")) or "").splitlines())
            # Cached file data is given back as soon as memory is needed.
            cached = sum(int(line[1]) for line in lines if len(line) == 2 and line[0] == cache and line[1].isdigit())
            found.append((max(0, int(used) - cached), int(limit)))
    return found


# -- output -----------------------------------------------------------------------------------------


def written(run_dir: str) -> Dict[str, float]:
    """Return when each log that is not empty was last written."""
    found = {}
    for name, parts in log_segments.segments(os.path.join(run_dir, run_directory.LOGS)).items():
        try:
            state = os.lstat(parts[-1][1])
        except OSError:
            continue  # It was just dropped.
        if state.st_size or len(parts) > 1:
            found[name] = state.st_mtime
    return found


def age(logs: Dict[str, float], names: Iterable[str], now: float) -> Optional[float]:
    """Return how many seconds ago the newest of some logs was written; None if there is no output yet."""
    times = [logs[name] for name in names if name in logs]
    return round(max(0.0, now - max(times)), 1) if times else None


def clock() -> Dict[str, float]:
    """Return the time of this node's clock, and of a monotonic one."""
    return {"time": round(time.time(), 3), "clock": round(time.monotonic(), 3)}
