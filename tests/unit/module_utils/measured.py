# SPDX-License-Identifier: Apache-2.0
"""Measurements of nodes, and samples, as tests need them."""


def load(seconds=None, percent=None, output=1.0, age=100.0, **more):
    spent = {"cpu_seconds": seconds} if seconds is not None else {"cpu_percent": percent}
    return {"memory_bytes": 1 << 30, "processes": 1, "age_seconds": age, "output_age_seconds": output, **spent, **more}


def gpu(busy=90.0, ranks=(), **more):
    known = {"busy_percent": busy, "memory_bytes": 100 << 30, "memory_total_bytes": 192 << 30}
    return {**known, "power_watts": 500.0, "temperature_celsius": 60.0, "ranks": list(ranks), **more}


def measurement(clock=10.0, busy=500, total=1000, ranks=(), job=50.0, **more):
    """Make what a node measures; ``ranks`` are the seconds that ranks have computed, by rank."""
    return {
        "time": 1_700_000_000.0 + clock,
        "clock": clock,
        "busy_ticks": busy,
        "total_ticks": total,
        "cores": 4,
        "memory_bytes": 10 << 30,
        "memory_total_bytes": 256 << 30,
        "gpus": [],
        "gpus_error": None,
        "job": load(job),
        "ranks": {str(rank): load(seconds, has_ended=False) for rank, seconds in dict(ranks).items()},
        **more,
    }


def sample(ranks=(), gpus=(), **more):
    """Make a sample; ``ranks`` are loads by rank."""
    return {
        "time": 1_700_000_000.0,
        "seconds": 1.0,
        "cores": 4,
        "cpu_percent": 50.0,
        "memory_bytes": 10 << 30,
        "memory_total_bytes": 256 << 30,
        "gpus": list(gpus),
        "gpus_error": None,
        "job": load(percent=100.0),
        "ranks": {str(rank): {"has_ended": False, **known} for rank, known in dict(ranks).items()},
        **more,
    }
