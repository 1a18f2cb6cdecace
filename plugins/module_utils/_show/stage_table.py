# SPDX-License-Identifier: Apache-2.0
"""The table of nodes × stages while a run starts. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns

STAGES = ("probe", "arm", "go", "ranks")
_MARKS = {None: "·", True: "✓", False: "✗"}
# The stage that an event is about, and whether the node passed it.
_BY_EVENT = {
    events.READY: ("arm", True),
    events.STARTED: ("go", True),
    **dict.fromkeys((events.LOST, events.START_FAILED), ("go", False)),
}


class Table:
    """Tracks how far every node has got; empty before the first node, and once the job prints."""

    def __init__(self, stages: Sequence[str] = STAGES) -> None:
        self._stages = stages
        self._marks: Dict[str, Dict[str, Any]] = {}
        self._counts: Dict[str, int] = {}
        self._sizes: Dict[str, Any] = {}
        self._over = False

    def begin(self, nodes: Sequence[Dict[str, Any]]) -> None:
        """Set the nodes: those that are probed, then those of the plan in rank order, which has no spares."""
        self._marks = {node["host"]: self._marks.get(node["host"], {}) for node in nodes}
        self._sizes = {node["host"]: node.get("nproc_per_node", "?") for node in nodes}

    def end(self) -> None:
        """End the table: from now on the screen belongs to the job."""
        self._over = True

    def add(self, host: str) -> bool:
        """Begin the line of a node; return whether that changes the table."""
        if host in self._marks:
            return False
        self._marks[host] = {}
        return True

    def mark(self, host: str, stage: str, passed: bool) -> bool:
        """Record that a node passed a stage, or did not; return whether that changes the table."""
        marks = self._marks.setdefault(host, {})
        is_news = marks.get(stage) is not passed
        marks[stage] = passed
        return is_news

    def take(self, event: Dict[str, Any]) -> bool:
        """Record an event of a node; return whether that changes the table."""
        kind, host = event["event"], event.get("host")
        if kind == events.PROBED and (host in self._marks or not self._sizes):
            return self.mark(str(host), "probe", bool(event.get("answered")))
        if host not in self._marks:
            return False
        if kind in _BY_EVENT:
            return self.mark(str(host), *_BY_EVENT[kind])
        if kind == events.JOINED:
            self._counts[host] = self._counts.get(host, 0) + 1
            return True
        return False

    def lines(self, size: Tuple[int, int]) -> List[str]:
        """
        Format the table; if there is no room for all nodes, only those that are behind the others.

        Args:
            size: Columns and lines of the terminal; the table takes at most half of its lines.
        """
        if self._over or not self._marks:
            return []
        width, height = size
        hosts = sorted(self._marks, key=self._passed)
        slowest = set(hosts[: max(1, height // 2 - 2)])
        rows = [[host, *self._cells(host)] for host in self._marks if host in slowest]
        lines = columns.aligned([("node", *self._stages), *rows])
        if len(rows) < len(hosts):
            lines.append("and %d more" % (len(hosts) - len(rows)))
        return [columns.cut(line, width - 1) for line in lines]

    def _passed(self, host: str) -> int:
        return sum(mark is True for mark in self._marks[host].values()) + self._counts.get(host, 0)

    def _cells(self, host: str) -> List[str]:
        marks, count = self._marks[host], self._counts.get(host, 0)
        joined = "%d/%s" % (count, self._sizes.get(host, "?")) if count else _MARKS[None]
        return [joined if stage == "ranks" else _MARKS[marks.get(stage)] for stage in self._stages]
