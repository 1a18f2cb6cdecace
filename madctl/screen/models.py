# SPDX-License-Identifier: Apache-2.0
"""What models of madengine came to: a table for the screen, and one file of all nodes' results."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COLUMNS = ("model", "performance", "metric", "status")
# madengine prints what it found in its credential files.
_CREDENTIALS = re.compile(r"(Credentials:\s*)\S.*")


def without_credentials(text: str) -> str:
    """Take the values out of a line in which madengine shows its credentials."""
    return _CREDENTIALS.sub(r"\1(not shown)", text)


def lines(nodes: Sequence[dict[str, Any]]) -> list[str]:
    """Write the results of all nodes as aligned lines under a title; none without results."""
    rows = [
        [node["host"], *(str(row.get(column) or "-") for column in COLUMNS)]
        for node in nodes
        for row in node.get("models") or []
    ]
    if not rows:
        return []
    rows.insert(0, ["NODE", *(column.upper() for column in COLUMNS)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def ran(nodes: Sequence[dict[str, Any]]) -> bool:
    """Tell whether any model ran on any node."""
    return any(row.get("status") != "SKIPPED" for node in nodes for row in node.get("models") or [])


def merge(path: Path, nodes: Sequence[dict[str, Any]]) -> bool:
    """Write the rows of all nodes into one file, each with its node; False when there is none."""
    rows = [
        {"host": node["host"], "node_rank": node["node_rank"], **row}
        for node in nodes
        for row in node.get("models") or []
    ]
    if not rows:
        return False
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        table = csv.DictWriter(stream, columns)
        table.writeheader()
        table.writerows(rows)
    return True
