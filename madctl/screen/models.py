# SPDX-License-Identifier: Apache-2.0
"""The results of madengine's models: a table for the screen, and one file for all nodes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import columns

COLUMNS = ("model", "performance", "metric", "status")


def _rows(nodes: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """List the models that ran or were skipped, each with its node."""
    return [(node, row) for node in nodes for row in node.get("models") or []]


def lines(nodes: Sequence[dict[str, Any]]) -> list[str]:
    """Write the results of all nodes as a table; no lines without results."""
    rows = [[node["host"], *(str(row.get(column) or "-") for column in COLUMNS)] for node, row in _rows(nodes)]
    return columns.aligned([("NODE", *map(str.upper, COLUMNS)), *rows]) if rows else []


def ran(nodes: Sequence[dict[str, Any]]) -> bool:
    """Return whether any model ran on any node."""
    return any(row.get("status") != "SKIPPED" for _, row in _rows(nodes))


def merge(path: Path, nodes: Sequence[dict[str, Any]]) -> bool:
    """Write the rows of all nodes into one file, each with its node; return whether there were any."""
    rows = [{"host": node["host"], "node_rank": node["node_rank"], **row} for node, row in _rows(nodes)]
    if not rows:
        return False
    names = list(dict.fromkeys(key for row in rows for key in row))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        table = csv.DictWriter(stream, names)
        table.writeheader()
        table.writerows(rows)
    return True
