# SPDX-License-Identifier: Apache-2.0
"""
Measure the resource usage of a run on this node, and keep its last samples in a file.

Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, schema
from ansible_collections.madctl.multinode.plugins.module_utils._common import usage as shares
from ansible_collections.madctl.multinode.plugins.module_utils._node import deadlines, gpu_usage, small_files, usage

# A broken card may never answer, and a tool has its own deadline for each call.
_FILE_SECONDS, _TOOL_SECONDS = 2.0, 12.0
# The first sample of a run is taken early, because the run may be short; programs are started less often.
_FIRST_SECONDS, _TOOL_INTERVAL = 1.0, 30.0
_ERROR_CHARACTERS = 200
_MOST_BYTES = 1 << 20

Data = Dict[str, Any]


def measure(run_dir: str, asks_gpus: bool = True) -> Data:
    """
    Measure once, see ``_common.usage.is_measured``.

    Args:
        asks_gpus: Whether to query the GPUs: a driver that hangs must not be queried again and again.
    """
    found = gpus() if asks_gpus else gpu_usage.Found([], [], None)
    job = usage.job(run_dir)
    known = usage.processes()
    heads = {rank: entry.pid for rank, entry in job.ranks.items() if not entry.has_ended}
    families = usage.families(known, heads.values())
    whole = set().union(*usage.families(known, job.runners).values(), *families.values())
    logs, now = usage.written(run_dir), usage.clock()
    ranks = {}
    for rank, entry in job.ranks.items():
        family = families.get(entry.pid, set()) if not entry.has_ended else set()
        head = known.get(entry.pid) if family else None
        names = [run_directory.log_name(rank, stream) for stream in ("out", "err")]
        ranks[str(rank)] = {
            **usage.spent(known, family),
            "age_seconds": round(head.age, 1) if head else None,
            "output_age_seconds": usage.age(logs, names, now["time"]),
            "has_ended": entry.has_ended,
        }
    cpu, memory = usage.cpu(), usage.memory(next(iter(job.runners), os.getpid()))
    return {
        **now,
        "busy_ticks": cpu["busy"],
        "total_ticks": cpu["total"],
        "cores": cpu["cores"],
        "memory_bytes": memory["used"],
        "memory_total_bytes": memory["total"],
        "gpus": _with_ranks(found, {pid: rank for rank, head in heads.items() for pid in families[head]}),
        "gpus_error": found.error,
        "job": {
            **usage.spent(known, whole),
            "age_seconds": None if job.began is None else round(max(0.0, now["time"] - job.began), 1),
            "output_age_seconds": usage.age(logs, logs, now["time"]),
        },
        "ranks": ranks,
    }


def _with_ranks(found: gpu_usage.Found, rank_of: Dict[int, int]) -> List[Data]:
    return [
        {**gpu, "ranks": sorted({rank_of[pid] for pid in pids if pid in rank_of})}
        for gpu, pids in zip(found.gpus, found.pids)
    ]


def gpus() -> gpu_usage.Found:
    """Measure the GPUs in a child with a deadline, if this node may have any."""
    if not gpu_usage.may_have():
        return gpu_usage.Found([], [], None)
    seconds = _TOOL_SECONDS if gpu_usage.needs_tool() else _FILE_SECONDS
    answer = deadlines.together({"gpus": (gpu_usage.measure, ())}, seconds)["gpus"]
    if "value" in answer:
        return gpu_usage.Found(*answer["value"])
    error = shares.HUNG if "hung" in answer else schema.cut(str(answer["error"]), _ERROR_CHARACTERS)
    return gpu_usage.Found([], [], None, error)


# -- the file ---------------------------------------------------------------------------------------


def read(path: str) -> List[Data]:
    """Read the samples of a file, oldest first; none if it is missing, or was not written by this program."""
    found = small_files.read_object(path, shares.BYTES)
    return found["samples"] if found is not None and shares.is_file(found) else []


def write(path: str, samples: List[Data], seconds: float) -> None:
    """
    Write the file, completely or not at all; with many ranks, it has fewer samples.

    Raises:
        OSError: If that is not possible.
    """
    partial = path + ".partial"
    data = _dumped(samples, seconds)
    while len(data) > _MOST_BYTES and len(samples) > 1:
        samples = samples[(len(samples) + 1) // 2 :]
        data = _dumped(samples, seconds)
    small_files.remove(partial)
    descriptor = small_files.opened(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.rename(partial, path)
    except OSError:
        small_files.remove(partial)
        raise


def _dumped(samples: List[Data], seconds: float) -> bytes:
    return json.dumps({"interval_seconds": seconds, "samples": samples}).encode()


def keep(run_dir: str, beside: Optional[str]) -> None:
    """
    Keep the last samples of a run up to date, until it is told to end, or this process is ended.

    Args:
        beside: A file on shared storage for the latest sample, or None.
    """
    own = os.path.join(run_dir, run_directory.SAMPLES)
    interval = _TOOL_INTERVAL if gpu_usage.may_have() and gpu_usage.needs_tool() else shares.SECONDS
    kept, asks_gpus = read(own), True
    before = measure(run_dir, asks_gpus)
    pause = _FIRST_SECONDS
    while True:
        time.sleep(pause)
        pause = interval
        after = measure(run_dir, asks_gpus)
        if usage.job(run_dir).is_stopping:
            return  # Ranks that end report nothing about earlier usage.
        asks_gpus = asks_gpus and after["gpus_error"] != shares.HUNG
        kept = [*kept, shares.sample(before, after)][-shares.KEPT :]
        before = after
        for path, samples in ((own, kept), (beside, kept[-1:])):
            if path is not None:
                _try_to_write(path, samples, interval)


def _try_to_write(path: str, samples: List[Data], seconds: float) -> None:
    try:
        write(path, samples, seconds)
    except OSError:
        return  # The disk may be full; it may have room for the next one.
