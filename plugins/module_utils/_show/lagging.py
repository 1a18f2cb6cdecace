# SPDX-License-Identifier: Apache-2.0
"""
Judge which ranks lag: their last output, or their use of processors or GPUs, is far from the median of all ranks.

The distance is counted in median absolute deviations, which a few odd ranks do not move, and has a least value, so
that ranks that are nearly equal are not told apart. Pure; private to the collection.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import usage

OUTPUT, CPU, GPU = "output", "cpu", "gpu"
# With fewer ranks nobody can say which one is odd.
LEAST_RANKS = 3
# So long after they have started, ranks read their data and compile: each at its own time.
STARTING_SECONDS = 10.0
# A deviation of so many standard deviations, if ranks were spread normally.
_DEVIATIONS = 6 * 1.4826
# The least distances: seconds; percent of one processor; percent of a GPU.
_LEAST = {OUTPUT: 10.0, CPU: 50.0, GPU: 30.0}
# One odd second says nothing: so many of the last samples must say the same.
_LOOKS, _NEEDED = 5, 3

Name = Tuple[str, int]


class Rank(NamedTuple):
    """What is compared of a rank; None where it is not known, or does not count any more."""

    seconds: Optional[float]  # without output
    cpu: Optional[float]
    gpu: Optional[float]
    age: float


def ranks_of(samples: Mapping[str, Mapping[str, Any]]) -> Dict[Name, Rank]:
    """Return what is compared of all ranks that run, from the samples of their nodes by host."""
    found = {}
    for host, sample in samples.items():
        for text, rank in sample["ranks"].items():
            if rank["has_ended"] or rank["age_seconds"] is None:
                continue
            output, age = rank["output_age_seconds"], rank["age_seconds"]
            silent = age if output is None else min(output, age)
            found[host, int(text)] = Rank(silent, rank["cpu_percent"], usage.gpu_percent(sample, int(text)), age)
    return found


def judge(ranks: Mapping[Name, Rank]) -> Dict[Name, List[str]]:
    """Return in what ranks lag; those that do not are not in it."""
    if len(ranks) < LEAST_RANKS or min(rank.age for rank in ranks.values()) < STARTING_SECONDS:
        return {}
    found: Dict[Name, List[str]] = {}
    compared: Tuple[Tuple[str, Callable[[Rank], Optional[float]]], ...] = (
        (OUTPUT, lambda rank: rank.seconds),
        (CPU, lambda rank: rank.cpu),
        (GPU, lambda rank: rank.gpu),
    )
    for what, value_of in compared:
        known = {
            name: value for name, value in ((name, value_of(rank)) for name, rank in ranks.items()) if value is not None
        }
        for name in _odd(known, what):
            found.setdefault(name, []).append(what)
    return found


def _odd(values: Mapping[Name, float], what: str) -> List[Name]:
    if len(values) < LEAST_RANKS:
        return []
    middle = median(values.values())
    spread = median(abs(value - middle) for value in values.values())
    # Twice as much as usual is odd, or half of it, however alike the others are.
    far = max(_LEAST[what], _DEVIATIONS * spread, middle if what == OUTPUT else middle / 2)
    # A rank that has just printed something does not lag.
    return [name for name, value in values.items() if (value - middle if what == OUTPUT else abs(value - middle)) > far]


class Marks:
    """Judges again and again, and marks what lags in most of the last samples."""

    def __init__(self) -> None:
        self._seen: Deque[Set[Tuple[Name, str]]] = deque(maxlen=_LOOKS)

    def take(self, ranks: Mapping[Name, Rank]) -> Dict[Name, List[str]]:
        """Take what is compared now, and return in what ranks lag."""
        now = {(name, what) for name, odd in judge(ranks).items() for what in odd}
        self._seen.append(now)
        found: Dict[Name, List[str]] = {}
        for name, what in sorted(
            set().union(*self._seen), key=lambda mark: (mark[0], (OUTPUT, CPU, GPU).index(mark[1]))
        ):
            if sum((name, what) in seen for seen in self._seen) >= _NEEDED:
                found.setdefault(name, []).append(what)
        return found
