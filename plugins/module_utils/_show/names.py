# SPDX-License-Identifier: Apache-2.0
"""Names of hosts and numbers of things, as people write them. Pure; private to the collection."""

from __future__ import annotations

import functools
import re
from typing import Dict, List, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import count as count

_NUMBER = re.compile(r"([0-9]{1,9})")


def fold(hosts: Sequence[str]) -> str:
    """Format all names of a list, each once, with ranges of numbers: ``gpu[01-03,05],login``."""
    return _folded(tuple(hosts))


@functools.lru_cache(1024)  # A screen writes the same few lists in front of many lines.
def _folded(hosts: Tuple[str, ...]) -> str:
    alike: Dict[Tuple[str, ...], List[List[str]]] = {}
    for host in dict.fromkeys(hosts):
        # Every second part is a number. There are no ranges of addresses with colons.
        parts = [host] if ":" in host else _NUMBER.split(host)
        alike.setdefault(tuple(parts[::2]), []).append(parts)
    return ",".join(text for names in alike.values() for text in _ranges(names))


def _ranges(names: Sequence[List[str]]) -> List[str]:
    """Format names that differ only in numbers as ranges of the last number that differs."""
    if len(names) == 1:
        return ["".join(names[0])]
    at = max(place for place in range(1, len(names[0]), 2) if len({parts[place] for parts in names}) > 1)
    around = [("".join(parts[:at]), "".join(parts[at + 1 :])) for parts in names]
    padded = {(*key, len(parts[at])) for key, parts in zip(around, names) if re.match("0[0-9]", parts[at])}
    groups: Dict[Tuple[str, str, int], Set[str]] = {}
    for (before, after), parts in zip(around, names):
        key = (before, after, len(parts[at]))
        groups.setdefault(key if key in padded else (before, after, 0), set()).add(parts[at])
    return [before + _range(numbers, digits) + after for (before, after, digits), numbers in groups.items()]


def _range(texts: Set[str], digits: int) -> str:
    if len(texts) == 1:
        return texts.pop()
    numbers = set(map(int, texts))
    begins = sorted(number for number in numbers if number - 1 not in numbers)
    ends = sorted(number for number in numbers if number + 1 not in numbers)
    ranges = [(str(begin).zfill(digits), str(end).zfill(digits)) for begin, end in zip(begins, ends)]
    return "[%s]" % ",".join(begin if begin == end else "%s-%s" % (begin, end) for begin, end in ranges)
