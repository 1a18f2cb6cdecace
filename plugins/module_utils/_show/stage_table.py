# SPDX-License-Identifier: Apache-2.0
"""Nodes × stage while a run starts: what each node has passed, as lines. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain

STAGES = ("probe", "arm", "go", "ranks")
_MARKS = {None: "·", True: "✓", False: "✗"}
_BY_EVENT = {events.on_node(events.READY): "arm", events.on_node(events.STARTED): "go"}
_PROBED = events.on_node(events.PROBED)
_JOINED = events.on_node(events.JOINED)
_FAILED = (events.on_node(events.LOST), events.on_node(events.START_FAILED))


class Table:
    """Knows how far every node has come; empty before the first node, and once the job speaks."""

    def __init__(self) -> None:
        self._marks: Dict[str, Dict[str, Any]] = {}
        self._counts: Dict[str, int] = {}
        self._sizes: Dict[str, Any] = {}
        self._over = False

    def begin(self, nodes: Sequence[Dict[str, Any]]) -> None:
        """Take the nodes that are looked at, or those of a plan, in rank order: spares take no part from there on."""
        self._marks = {node["host"]: self._marks.get(node["host"], {}) for node in nodes}
        self._sizes = {node["host"]: node.get("nproc_per_node", "?") for node in nodes}

    def end(self) -> None:
        """From here on the screen belongs to the job."""
        self._over = True

    def add(self, host: str) -> bool:
        """Begin a node's line; False where it has one."""
        if host in self._marks:
            return False
        self._marks[host] = {}
        return True

    def mark(self, host: str, stage: str, passed: bool) -> bool:
        """Note that a node passed a stage, or did not; False where that is no news."""
        marks = self._marks.setdefault(host, {})
        is_news = marks.get(stage) is not passed
        marks[stage] = passed
        return is_news

    def passed(self, stage: str) -> int:
        """Count the nodes that passed a stage."""
        return sum(marks.get(stage) is True for marks in self._marks.values())

    def take(self, event: Dict[str, Any]) -> bool:
        """Take in what happened on a node; False where the table does not change."""
        kind, host = event["event"], event.get("host")
        if kind == _PROBED and (host in self._marks or not self._sizes):
            return self.mark(str(host), "probe", bool(event.get("answered")))
        if host not in self._marks:
            return False
        if kind in _BY_EVENT:
            return self.mark(str(host), _BY_EVENT[kind], True)
        if kind == _JOINED:
            self._counts[host] = self._counts.get(host, 0) + 1
            return True
        if kind in _FAILED:
            return self.mark(str(host), "go", False)
        return False

    def lines(self, size: Tuple[int, int]) -> List[str]:
        """
        Write the table, those first who lag behind.

        Args:
            size: Columns and lines of the terminal; the table takes at most half of its lines.
        """
        if self._over or not self._marks:
            return []
        columns, rows = size
        hosts = sorted(self._marks, key=self._passed)
        shown = hosts[: max(1, rows // 2 - 2)]
        shown = [host for host in self._marks if host in set(shown)]
        width = max(4, *(len(plain(host)) for host in shown))
        lines = ["node".ljust(width) + "".join("  %-5s" % stage for stage in STAGES)]
        lines += [plain(host).ljust(width) + "".join("  %-5s" % cell for cell in self._cells(host)) for host in shown]
        if len(shown) < len(hosts):
            lines.append("and %d more" % (len(hosts) - len(shown)))
        return [plain(line.rstrip())[: columns - 1] for line in lines]

    def _passed(self, host: str) -> int:
        return sum(mark is True for mark in self._marks[host].values()) + self._counts.get(host, 0)

    def _cells(self, host: str) -> List[str]:
        marks, count = self._marks[host], self._counts.get(host, 0)
        ranks = "%d/%s" % (count, self._sizes.get(host, "?")) if count else _MARKS[None]
        return [_MARKS[marks.get(stage)] for stage in STAGES[:-1]] + [ranks]
