# SPDX-License-Identifier: Apache-2.0
"""
Find ranks whose program is a launcher that created a separate world, which goes unnoticed otherwise: they all succeed.

The proof is a process that a launcher started below the rank, with a different rank or size of the world in its
environment. The search reads only /proc, and becomes rarer with time: an inner world lives at least as long as it took
to start. Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, launchers, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, procfs

FIRST_SECONDS = 1.0
GROWTH = 0.25


class Worlds:
    """The separate worlds of this node's ranks; ``at`` is when to search again, or None."""

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self._begun = 0.0
        self.at: Optional[float] = None
        self.apart: Dict[int, Dict[str, Any]] = {}

    def joined(self, relay: Any, count: int) -> None:
        """
        Record that a rank has joined, and search from now on.

        A job that may call mpirun several times creates worlds on purpose.
        """
        if relay:
            relay.joined(count)
        if not (relay and relay.many):
            self._begun = time.monotonic()
            self.at = self._begun + FIRST_SECONDS

    def look(self, now: float, ranks: Dict[int, Dict[str, Any]]) -> None:
        """Search below every rank that joined, if it is time, and report new findings."""
        if self.at is None or now < self.at:
            return
        self.at = now + max(FIRST_SECONDS, (now - self._begun) * GROWTH)
        try:
            children = processes.by_parent()
            for rank, entry in ranks.items():
                if rank is None or rank in self.apart:
                    continue
                found = inner(entry["pid"], (rank, entry.get("world_size")), children)
                if found:
                    self.apart[rank] = found
                    self._emit(event=events.APART, time=time.time(), rank=rank, **found)
        except Exception:  # noqa: BLE001  a mere search must not end the job
            self.at = None


def inner(pid: int, own: Tuple[int, Optional[int]], children: Dict[int, List[int]]) -> Optional[Dict[str, Any]]:
    """
    Search below one rank.

    Args:
        own: Its rank, and the size of its world.
        children: By process, as ``processes.by_parent`` returns them.

    Returns:
        ``launcher``, its name, and ``size`` of the world that it created; None without such a world.
    """
    waiting: List[Tuple[int, Optional[str]]] = [(pid, None)]
    while waiting:
        current, launcher = waiting.pop()
        found = launchers.launcher(procfs.command_line(current))
        if launcher:
            other = next((size for rank, size in _identities(current) if (rank, size) != own), None)
            if other is not None:
                return {"launcher": launcher, "size": other}
        name = found[0].rpartition("/")[2] if found else launcher
        waiting += [(child, name) for child in children.get(current, [])]
    return None


def _identities(pid: int) -> Iterator[Tuple[int, int]]:
    environment = dict(entry.partition(b"=")[::2] for entry in procfs.environment(pid))
    for names in run_directory.IDENTITIES:
        rank, size = (environment.get(name.encode(), b"") for name in names)
        if rank.isdigit() and size.isdigit() and len(rank + size) < 20:
            yield int(rank), int(size)
