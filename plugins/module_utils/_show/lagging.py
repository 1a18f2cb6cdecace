# SPDX-License-Identifier: Apache-2.0
"""
Find ranks that lag: their last output, or their use of processors or GPUs, is far from the median of all ranks.

The distance is counted in median absolute deviations, which a few odd ranks do not move, and has a minimum, so that
ranks that are nearly equal are not distinguished. Pure; private to the collection.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import usage

OUTPUT, CPU, GPU = "output", "cpu", "gpu"
# With fewer ranks, it is impossible to say which one is odd.
LEAST_RANKS = 3
# For this long after their start, ranks read their data and compile, each at its own pace.
STARTING_SECONDS = 10.0
# A distance of this many standard deviations, if ranks were distributed normally.
_DEVIATIONS = 6 * 1.4826
# The smallest distances: seconds; percent of one processor; percent of a GPU.
_LEAST = {OUTPUT: 10.0, CPU: 50.0, GPU: 30.0}
# One odd second means nothing: this many of the last samples must agree.
_LOOKS, _NEEDED = 5, 3

Name = Tuple[str, int]


class Rank(NamedTuple):
    """The values of a rank that are compared; None if unknown, or if they do not count any more."""

    seconds: Optional[float]  # without output
    cpu: Optional[float]
    gpu: Optional[float]
    age: float


def ranks_of(samples: Mapping[str, Mapping[str, Any]]) -> Dict[Name, Rank]:
    """Return the values to compare of all running ranks, from the samples of their nodes by host."""
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
    """Return in which respects ranks lag; the result has only ranks that do."""
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
    # Twice the usual value is odd, and so is half of it, however similar the others are.
    far = max(_LEAST[what], _DEVIATIONS * spread, middle if what == OUTPUT else middle / 2)
    # A rank that has just printed something does not lag.
    return [name for name, value in values.items() if (value - middle if what == OUTPUT else abs(value - middle)) > far]


class Marks:
    """Judges repeatedly, and marks what lags in most of the last samples."""

    def __init__(self) -> None:
        self._seen: Deque[Set[Tuple[Name, str]]] = deque(maxlen=_LOOKS)

    def take(self, ranks: Mapping[Name, Rank]) -> Dict[Name, List[str]]:
        """Take the current values, and return in which respects ranks lag."""
        now = {(name, what) for name, odd in judge(ranks).items() for what in odd}
        self._seen.append(now)
        found: Dict[Name, List[str]] = {}
        for name, what in sorted(
            set().union(*self._seen), key=lambda mark: (mark[0], (OUTPUT, CPU, GPU).index(mark[1]))
        ):
            if sum((name, what) in seen for seen in self._seen) >= _NEEDED:
                found.setdefault(name, []).append(what)
        return found
