# SPDX-License-Identifier: Apache-2.0
"""
Reason with the route tables that nodes reported. Pure; private to the collection.

This is the main table alone: a node may have rules for others. So a plan is made with it, and the kernel itself
is asked in the proof.
"""

from __future__ import annotations

import socket
from bisect import bisect_right
from typing import Any, FrozenSet, List, Optional, Sequence, Tuple

# The length of the route's prefix, and the devices that carry it.
Way = Tuple[int, FrozenSet[str]]


class Table:
    """The IPv4 routes of a node, the longest prefix first."""

    def __init__(self, routes: Optional[Sequence[Any]]) -> None:
        self._starts: List[int] = [0]
        self._ways: List[Optional[Way]] = [None]
        inside: List[Tuple[int, Optional[Way]]] = []
        ranges = sorted((_number(network), int(length), frozenset(names)) for network, length, names in routes or ())
        for first, length, names in ranges:
            self._leave(inside, first)
            self._begin(first, (length, names))
            inside.append((first | ((1 << (32 - length)) - 1), (length, names)))
        self._leave(inside, 1 << 32)

    def _leave(self, inside: List[Tuple[int, Optional[Way]]], first: int) -> None:
        """Go back to the wider route behind the end of every one that ends before."""
        while inside and inside[-1][0] < first:
            last, _ = inside.pop()
            self._begin(last + 1, inside[-1][1] if inside else None)

    def _begin(self, first: int, way: Optional[Way]) -> None:
        if self._starts[-1] == first:
            self._ways[-1] = way
        else:
            self._starts.append(first)
            self._ways.append(way)

    def carries(self, interface: str, address: str, shortest: int = 0) -> bool:
        """Tell whether an address is reached over an interface, by a route of at least that prefix."""
        if ":" in address:
            return False
        way = self._ways[bisect_right(self._starts, _number(address)) - 1]
        return way is not None and interface in way[1] and way[0] >= shortest


def _number(address: str) -> int:
    return int.from_bytes(socket.inet_aton(address), "big")
