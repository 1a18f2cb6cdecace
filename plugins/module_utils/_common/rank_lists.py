# SPDX-License-Identifier: Apache-2.0
"""
Lists of ranks as people write them: ``0``, ``0-3,7`` or ``[0-3]``.

Pure; delivered to nodes as well; private to the collection.
"""

from __future__ import annotations

import re
from typing import List, Sequence, Tuple

Ranks = Tuple[Tuple[int, int], ...]  # first and last rank of each range; a range may be too long for any memory

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r" *([0-9]{1,9}) *(?:- *([0-9]{1,9}) *)?", re.ASCII)


def parse(text: str) -> Ranks:
    """
    Parse a list of ranks and ranges of ranks.

    Raises:
        ValueError: If it is something else.
    """
    bare = _BRACKETS.fullmatch(text.strip())
    found = []
    for part in (bare[1] if bare else text).split(","):
        match = _RANGE.fullmatch(part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(part)
        found.append((int(match[1]), int(match[2] or match[1])))
    return joined(found)


def joined(ranges: Sequence[Tuple[int, int]]) -> Ranks:
    """Sort ranges, and join those that touch."""
    found: List[Tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def has(ranks: Ranks, rank: int) -> bool:
    """Return whether a rank is in one of the ranges."""
    return any(first <= rank <= last for first, last in ranks)


def text(ranks: Ranks) -> str:
    """Format ranks as ``parse`` accepts them: ``0-3,7``."""
    return ",".join(str(first) if first == last else "%d-%d" % (first, last) for first, last in ranks)


def named(ranks: Ranks) -> str:
    """Name ranks in a sentence: ``rank 7``, ``ranks 0-3,7``."""
    is_one = len(ranks) == 1 and ranks[0][0] == ranks[0][1]
    return "%s %s" % ("rank" if is_one else "ranks", text(ranks))
