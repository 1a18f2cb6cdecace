# SPDX-License-Identifier: Apache-2.0
"""What ``madctl top`` shows: as tables that are redrawn in place, as lines, or as data."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import usage
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.sampling import Node
from ansible_collections.madctl.multinode.plugins.module_utils._show import colours, columns, lagging, usage_table
from ansible_collections.madctl.multinode.plugins.module_utils._show.redrawn import Redrawn
from madctl.screen.terminal import Stream

# Note the age of samples older than this.
_OLD_SECONDS = 15.0
_JUDGE_SECONDS = 1.0
_NOBODY = "no node of the run has started yet"
_LEAVE = "q quits; the run continues"

Odd = Mapping[lagging.Name, Sequence[str]]


def samples(nodes: Mapping[str, Node]) -> dict[str, Mapping[str, Any]]:
    """Return the last samples of nodes on which the run continues, or of all nodes once it has ended everywhere."""
    going = {host: node for host, node in nodes.items() if not node.is_over} or nodes
    return {host: node.sample for host, node in going.items() if node.sample is not None}


def lines(
    title: str, nodes: Mapping[str, Node], odd: Odd, now: float, size: tuple[int | None, int | None] = (None, None)
) -> list[str]:
    """
    Write the whole screen, in colours.

    Args:
        now: The current time, by the clock of the times at which nodes answered.
        size: Columns and lines of the screen; None for no limit.
    """
    width, height = size
    rows = [usage_table.Node(host, node.sample, *_note(node, now)) for host, node in nodes.items()]
    times = [node.sample["time"] for node in nodes.values() if node.sample is not None]
    at = [time.strftime("%H:%M:%S", time.localtime(max(times)))] if times else []
    head = plain(", ".join([title, *at]))
    table = usage_table.lines(rows, odd, width, None if height is None else height - 2) if rows else []
    table = table or [_NOBODY]
    return [head if width is None else columns.cut(head, width, "…"), "", *table]


def _note(node: Node, now: float) -> tuple[str, bool]:
    """Return a short note about a node, and whether it is bad news."""
    if node.problem is not None:
        return "no answer", True
    if node.state is None:
        return "no answer yet", False
    if node.is_over:
        kept = "last sample" if node.sample is not None else "no samples"
        return f"{node.state}, {kept}", node.state in ("lost", "unknown")
    if node.sample is None:
        return ("not started yet" if node.state == "armed" else "first sample follows"), False
    if now - node.heard > _OLD_SECONDS:
        return f"sample of {now - node.heard:.0f} s ago", True
    error = node.sample["gpus_error"]
    return (f"GPUs: {error}", True) if error else ("", False)


def data(nodes: Mapping[str, Node], odd: Odd) -> dict[str, Any]:
    """Return the samples of nodes that answered, as data."""
    return {
        host: _of_node(host, node, odd)
        for host, node in nodes.items()
        if node.problem is None and node.state is not None
    }


def _of_node(host: str, node: Node, odd: Odd) -> dict[str, Any]:
    known: Mapping[str, Any] = node.sample or {
        **dict.fromkeys(("time", "seconds", "cores", "cpu_percent", "memory_bytes", "memory_total_bytes")),
        "gpus": [],
        "gpus_error": None,
        "job": None,
        "ranks": {},
    }
    ranks = {
        rank: {
            **load,
            "gpu_percent": usage.gpu_percent(known, int(rank)),
            "lagging": list(odd.get((host, int(rank)), ())),
        }
        for rank, load in known["ranks"].items()
    }
    return {"state": node.state, **known, "ranks": ranks}


class TopScreen:
    """Draws on a terminal in place, and leaves the last state there."""

    def __init__(self, stream: Stream, title: str) -> None:
        self._stream, self._title = stream, title
        self._drawing = Redrawn(stream.write)
        self._marks = lagging.Marks()
        self._odd: Odd = {}
        self._due = 0.0

    def take(self, nodes: Mapping[str, Node], now: float) -> None:
        """Judge new samples, at most once per second, however many nodes answer."""
        if now >= self._due:
            self._due = now + _JUDGE_SECONDS
            self._odd = self._marks.take(lagging.ranks_of(samples(nodes)))

    def draw(self, nodes: Mapping[str, Node], now: float) -> None:
        """Draw as much as there is space for."""
        width, height = self._stream.size()
        found = lines(self._title, nodes, self._odd, now, (width - 1, height - 3))
        # A drawing must be lower than the terminal, however low that is.
        self._drawing.draw(self._shown([*found[: max(1, height - 3)], "", columns.cut(_LEAVE, width - 1)]))

    def leave(self, nodes: Mapping[str, Node], now: float) -> None:
        """Write the last state where it stays."""
        width, height = self._stream.size()
        self._drawing.erase(also_echo=True)
        found = lines(self._title, nodes, self._odd, now, (width - 1, height - 3))
        self._stream.write("".join(line + "\n" for line in self._shown(found)))

    def _shown(self, found: list[str]) -> list[str]:
        return found if self._stream.has_colours() else [*map(colours.stripped, found)]
