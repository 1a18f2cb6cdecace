# SPDX-License-Identifier: Apache-2.0
"""Lay out what checks found: nodes × checks, and the reasons behind the network. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils import _catalog
from ansible_collections.madctl.multinode.plugins.module_utils._codes import Problem

OK, WARN, FAIL, NONE = "ok", "warn", "FAIL", "-"
Cells = Dict[str, Dict[str, str]]


def cells(
    hosts: Sequence[str], problems: Sequence[Problem], warnings: Sequence[Problem], not_run: Dict[str, Sequence[str]]
) -> Cells:
    """
    Sum up every check of every node.

    Args:
        not_run: Checks that say nothing, by host; those of an unreachable node are all but ``reach``.

    Returns:
        By host and check ``ok``, ``warn``, ``FAIL`` or ``-``.
    """
    table = {host: {name: NONE if name in not_run.get(host, ()) else OK for name in _catalog.NAMES} for host in hosts}
    for mark, findings in ((WARN, warnings), (FAIL, problems)):
        for finding in findings:
            check = _catalog.CHECK_OF.get(finding["code"], "reach")
            # What is said of all nodes says nothing of one that could not be looked at.
            everybody = [host for host in hosts if table[host][check] != NONE]
            for host in everybody if finding["host"] is None else [finding["host"]]:
                table[host][check] = mark
    return table


def lines(table: Cells, fold: Any) -> List[str]:
    """
    Write the table, one line for all nodes with the same result, without checks that are for other work.

    Args:
        fold: Writes a list of hosts as short as it can.
    """
    said = {name for row in table.values() for name, mark in row.items() if mark != NONE}
    checks = [name for name in _catalog.NAMES if name in said or name not in _catalog.ONLY_FOR]
    groups: Dict[tuple, List[str]] = {}  # type: ignore[type-arg]
    for host, row in table.items():
        groups.setdefault(tuple(row[name] for name in checks), []).append(host)
    names = [fold(hosts) for hosts in groups.values()]
    width = max(4, *map(len, names)) if names else 4
    head = "NODE".ljust(width) + "".join("  " + name for name in checks)
    rows = [
        name.ljust(width) + "".join("  " + mark.ljust(len(check)) for mark, check in zip(row, checks))
        for name, row in zip(names, groups)
    ]
    return [head, *(row.rstrip() for row in rows)]


def brief(hosts: Sequence[str]) -> str:
    """Write a list of hosts on little room."""
    return ",".join(hosts) if len(hosts) <= 3 else "%s…%s (%d)" % (hosts[0], hosts[-1], len(hosts))


def network_lines(candidates: Dict[str, List[Dict[str, Any]]]) -> List[str]:
    """Write every address of every node with the reason why it was chosen or not."""
    rows = [("NODE", "INTERFACE", "ADDRESS", "VERDICT")]
    for host, entries in candidates.items():
        rows += [(host, row["interface"], row["address"] or "-", row["verdict"]) for row in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]) for row in rows]
