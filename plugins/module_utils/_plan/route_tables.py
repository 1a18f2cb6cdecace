# SPDX-License-Identifier: Apache-2.0
"""
Reason with the route tables that nodes reported. Pure; private to the collection.

This is only the main table: a node may have rules that use others. So it serves the plan, while the proof queries the
kernel itself.
"""

from __future__ import annotations

import socket
from bisect import bisect_right
from functools import lru_cache
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Sequence, Tuple

# The length of the route's prefix, and the devices that carry it.
Way = Tuple[int, FrozenSet[str]]


class Table:
    """The IPv4 routes of a node, the longest prefix first."""

    def __init__(self, routes: Optional[Sequence[Any]]) -> None:
        self._starts: List[int] = [0]
        self._ways: List[Optional[Way]] = [None]
        self._ranges: Dict[Tuple[str, int], Ranges] = {}
        inside: List[Tuple[int, Optional[Way]]] = []
        for first, length, names in sorted(_plain(routes), key=lambda route: route[:2]):
            self._leave(inside, first)
            self._begin(first, (length, names))
            inside.append((first | ((1 << (32 - length)) - 1), (length, names)))
        self._leave(inside, 1 << 32)

    def _leave(self, inside: List[Tuple[int, Optional[Way]]], first: int) -> None:
        """Return to the wider route after each narrower one that ends before ``first``."""
        while inside and inside[-1][0] < first:
            last, _ = inside.pop()
            self._begin(last + 1, inside[-1][1] if inside else None)

    def _begin(self, first: int, way: Optional[Way]) -> None:
        if self._starts[-1] == first:
            self._ways[-1] = way
        else:
            self._starts.append(first)
            self._ways.append(way)

    def ranges(self, interface: str, shortest: int = 0) -> Ranges:
        """Return the addresses that are reached over an interface, through routes with at least that prefix length."""
        key = (interface, shortest)
        if key not in self._ranges:
            ends = [*self._starts[1:], 1 << 32]
            spans = zip(self._starts, ends, self._ways)
            self._ranges[key] = Ranges(
                (a, b) for a, b, way in spans if way and interface in way[1] and way[0] >= shortest
            )
        return self._ranges[key]

    def carries(self, interface: str, address: str, shortest: int = 0) -> bool:
        """Return whether an address is reached over an interface, through a route with at least that prefix length."""
        return number_of(address) in self.ranges(interface, shortest)


def _plain(routes: Any) -> List[Tuple[int, int, FrozenSet[str]]]:
    """Parse routes as a node reported them; none at all if one of them is invalid."""
    try:
        found = [(number_of(network), length, frozenset(map(str, names))) for network, length, names in routes or ()]
        fits = all(type(length) is int and 0 <= length <= 32 and number >= 0 for number, length, _ in found)
    except (TypeError, ValueError, OSError):
        return []
    return found if fits else []


class Ranges:
    """Some ranges of addresses, in order."""

    def __init__(self, spans: Iterable[Tuple[int, int]]) -> None:
        self._edges: List[int] = []
        for first, end in spans:
            if self._edges and self._edges[-1] == first:
                self._edges[-1] = end
            else:
                self._edges += [first, end]

    def __contains__(self, number: int) -> bool:
        return bisect_right(self._edges, number) % 2 == 1


NOWHERE = Ranges([])


@lru_cache(maxsize=1 << 16)
def number_of(address: str) -> int:
    """Return an IPv4 address as a number; for IPv6 a number that no range contains."""
    return -1 if ":" in address else int.from_bytes(socket.inet_aton(address), "big")
