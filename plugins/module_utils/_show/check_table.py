# SPDX-License-Identifier: Apache-2.0
"""The results of checks: nodes × checks, and the reasons behind the network. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold

OK, WARN, FAIL, NONE = "ok", "warn", "FAIL", "-"
Cells = Dict[str, Dict[str, str]]


def cells(
    hosts: Sequence[str], problems: Sequence[Problem], warnings: Sequence[Problem], not_run: Mapping[str, Sequence[str]]
) -> Cells:
    """
    Sum up every check of every node.

    Args:
        not_run: Checks without a result, by host; those of an unreachable node are all but ``reach``.

    Returns:
        By host and check ``ok``, ``warn``, ``FAIL`` or ``-``.
    """
    table = {host: {name: NONE if name in not_run.get(host, ()) else OK for name in catalog.NAMES} for host in hosts}
    for mark, findings in ((WARN, warnings), (FAIL, problems)):
        for finding in findings:
            check = catalog.CHECK_OF.get(finding["code"], "reach")
            # A finding of all nodes says nothing about one that could not be inspected.
            inspected = [host for host in hosts if table[host][check] != NONE]
            for host in inspected if finding["host"] is None else [finding["host"]]:
                table[host][check] = mark
    return table


def lines(table: Cells) -> List[str]:
    """Write the table, one line for all nodes with the same results, without checks that are for other work."""
    done = {name for row in table.values() for name, mark in row.items() if mark != NONE}
    checks = [name for name in catalog.NAMES if name in done or name not in catalog.ONLY_FOR]
    groups: Dict[Tuple[str, ...], List[str]] = {}
    for host, row in table.items():
        groups.setdefault(tuple(row[name] for name in checks), []).append(host)
    return columns.aligned([("NODE", *checks), *((fold(hosts), *marks) for marks, hosts in groups.items())])


def network_lines(candidates: Dict[str, List[Dict[str, Any]]]) -> List[str]:
    """Write every address of every node with the reason why it was chosen or not."""
    rows = [("NODE", "INTERFACE", "ADDRESS", "VERDICT")]
    for host, entries in candidates.items():
        rows += [(host, row["interface"], row["address"] or "-", row["verdict"]) for row in entries]
    return columns.aligned(rows)
