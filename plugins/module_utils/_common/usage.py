# SPDX-License-Identifier: Apache-2.0
"""
Resource usage of a node and the ranks of a run: the shape of a node's measurements, and the samples made from them.

A measurement has counters; a sample has shares of the time between two measurements. Both are JSON data, and the names
of numbers contain their units. Pure; delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    Shape,
    fields,
    like,
    listed,
    mapped,
    maybe,
    number,
    second,
    text,
    truth,
    whole,
)

Data = Dict[str, Any]
# The file of a run's last samples: how many, how often in seconds, and in how many bytes.
KEPT, SECONDS, BYTES = 30, 10.0, 1 << 22
# The state of a run on a node, as ``_runs.run_state`` reports it.
GOING = ("armed", "running")
# What is reported of GPUs that hang; they are not queried again.
HUNG = "the driver does not answer"
# Counters are read one after the other, so the time between two measurements is never exactly the difference of their
# clocks.
_LEAST_SECONDS = 0.05

_most_gpus, _most_ranks = 1024, 1 << 12
_bytes, _seconds, _percent = whole(0, 1 << 62), number(0, 1 << 40), number(0, 1 << 30)
_rank = like(re.compile("[0-9]{1,7}"))
_load: Dict[str, Shape] = {
    "memory_bytes": maybe(_bytes),
    "processes": whole(0, 1 << 32),
    "age_seconds": maybe(_seconds),
    "output_age_seconds": maybe(_seconds),
}
_rank_load: Dict[str, Shape] = {**_load, "has_ended": truth}
GPU: Dict[str, Shape] = {
    "busy_percent": maybe(number(0, 100)),
    "memory_bytes": maybe(_bytes),
    "memory_total_bytes": maybe(_bytes),
    "power_watts": maybe(number(0, 1 << 20)),
    "temperature_celsius": maybe(number(-1000, 1000)),
    "ranks": listed(whole(0, 10**7), _most_ranks),
}
_gpus = listed(fields(GPU), _most_gpus)
_node: Dict[str, Shape] = {
    "time": second,
    "cores": whole(1, 1 << 20),
    "memory_bytes": _bytes,
    "memory_total_bytes": _bytes,
    "gpus": _gpus,
    "gpus_error": maybe(text()),
}
is_measured = fields(
    {
        **_node,
        "clock": number(0, 1 << 40),
        "busy_ticks": whole(0, 1 << 62),
        "total_ticks": whole(0, 1 << 62),
        "job": fields({**_load, "cpu_seconds": _seconds}),
        "ranks": mapped(fields({**_rank_load, "cpu_seconds": _seconds}), _most_ranks, _rank),
    }
)
is_sample = fields(
    {
        **_node,
        "seconds": _seconds,
        "cpu_percent": maybe(_percent),
        "job": fields({**_load, "cpu_percent": maybe(_percent)}),
        "ranks": mapped(fields({**_rank_load, "cpu_percent": maybe(_percent)}), _most_ranks, _rank),
    }
)
is_file = fields({"interval_seconds": number(1, 3600), "samples": listed(is_sample, 1 << 10)})


def sample(before: Mapping[str, Any], after: Mapping[str, Any]) -> Data:
    """Return the usage between two measurements of one node; ``cpu_percent`` is None if unknown."""
    seconds = max(0.0, after["clock"] - before["clock"])
    ticks = after["total_ticks"] - before["total_ticks"]
    busy = after["busy_ticks"] - before["busy_ticks"]
    ranks = {
        rank: _used(before["ranks"].get(rank), now, seconds)
        for rank, now in sorted(after["ranks"].items(), key=lambda entry: int(entry[0]))
    }
    return {
        "time": after["time"],
        "seconds": round(seconds, 3),
        "cores": after["cores"],
        "cpu_percent": round(min(max(0.0, 100.0 * busy / ticks), 100.0), 1) if ticks > 0 else None,
        "memory_bytes": after["memory_bytes"],
        "memory_total_bytes": after["memory_total_bytes"],
        "gpus": [{name: gpu[name] for name in GPU} for gpu in after["gpus"]],
        "gpus_error": after["gpus_error"],
        "job": _used(before["job"], after["job"], seconds),
        "ranks": ranks,
    }


def _used(before: Optional[Mapping[str, Any]], after: Mapping[str, Any], seconds: float) -> Data:
    names = _rank_load if "has_ended" in after else _load
    share, spent = None, after["cpu_seconds"]
    if before is None:
        # It began between the two measurements, and so did all its usage.
        seconds = after["age_seconds"] or 0.0
    else:
        # What processes used that ended in between may be lost.
        spent = max(0.0, spent - before["cpu_seconds"])
    if seconds >= _LEAST_SECONDS and after["processes"]:
        share = round(spent / seconds * 100, 1)
    return {"cpu_percent": share, **{name: after[name] for name in names}}


def gpu_percent(sampled: Mapping[str, Any], rank: int) -> Optional[float]:
    """Return how busy the GPUs of a rank are on average; None if no GPU is known to belong to it."""
    known = [gpu["busy_percent"] for gpu in sampled["gpus"] if rank in gpu["ranks"] and gpu["busy_percent"] is not None]
    return round(sum(known) / len(known), 1) if known else None
