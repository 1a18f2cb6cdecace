# SPDX-License-Identifier: Apache-2.0
"""What the stages of a command cost, as lines. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List

_HEADER = ("STAGE", "WALL", "CPU", "CHILDREN")


def lines(event: Dict[str, Any]) -> List[str]:
    """Write an event of that kind as a table, and below it what each node was asked for."""
    measured = [[stage[key] for key in ("seconds", "own", "children")] for stage in event["stages"]]
    rows = [[stage["name"], *map(_seconds, values)] for stage, values in zip(event["stages"], measured)]
    rows.append(["total", *(_seconds(sum(column)) for column in zip(*measured))])
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows)]
    table = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in (_HEADER, *rows)]
    nodes = event["nodes"]
    counts = ["%d nodes" % nodes if nodes != 1 else "1 node", "%d sessions" % event["sessions"]]
    counts.append("%.4g Python starts per node" % (event["starts"] / nodes))
    counts += ["%s %s per node" % (_bytes(event[way] / nodes), way) for way in ("sent", "received")]
    return [*table, ", ".join(counts)]


def _seconds(value: float) -> str:
    return "%.3f s" % value


def _bytes(count: float) -> str:
    return "%.1f KiB" % (count / 1024)
