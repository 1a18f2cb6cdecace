# SPDX-License-Identifier: Apache-2.0
"""Format what the stages of a command cost, as lines. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count

_HEADER = ("STAGE", "WALL", "CPU", "CHILDREN")


def lines(event: Dict[str, Any]) -> List[str]:
    """Format an event of the kind ``timed`` as a table, and below it the cost per node."""
    measured = [[stage[key] for key in ("seconds", "own", "children")] for stage in event["stages"]]
    rows = [[stage["name"], *map(_seconds, values)] for stage, values in zip(event["stages"], measured)]
    rows.append(["total", *(_seconds(sum(column)) for column in zip(*measured))])
    nodes = event["nodes"]
    counts = [count(nodes, "node"), count(event["sessions"], "session")]
    counts.append("%.4g Python starts per node" % (event["starts"] / nodes))
    counts += ["%s %s per node" % (_bytes(event[way] / nodes), way) for way in ("sent", "received")]
    return [*columns.aligned([_HEADER, *rows], numbers=True), ", ".join(counts)]


def _seconds(value: float) -> str:
    return "%.3f s" % value


def _bytes(number: float) -> str:
    return "%.1f KiB" % (number / 1024)
