# SPDX-License-Identifier: Apache-2.0
"""The results of checks: nodes × checks, and the reasons behind the network. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold

OK, WARN, FAIL, NONE = "ok", "warn", "FAIL", "-"
_LOUD = (FAIL, WARN)
_COLOURS = {FAIL: columns.RED, WARN: columns.YELLOW, OK: columns.DIM}
Cells = Dict[str, Dict[str, str]]


def cells(
    hosts: Sequence[str], problems: Sequence[Problem], warnings: Sequence[Problem], not_run: Mapping[str, Sequence[str]]
) -> Cells:
    """
    Summarise every check of every node.

    Args:
        not_run: Checks without a result, by host; those of an unreachable node are all but ``reach``.

    Returns:
        By host and check ``ok``, ``warn``, ``FAIL`` or ``-``.
    """
    table = {host: {name: NONE if name in not_run.get(host, ()) else OK for name in catalog.NAMES} for host in hosts}
    for mark, findings in ((WARN, warnings), (FAIL, problems)):
        for finding in findings:
            check = catalog.CHECK_OF.get(finding["code"], "reach")
            # A finding about all nodes does not apply to one that could not be inspected.
            inspected = [host for host in hosts if table[host][check] != NONE]
            for host in inspected if finding["host"] is None else [finding["host"]]:
                # A node that was left out is not in the table.
                if host in table:
                    table[host][check] = mark
    return table


def lines(table: Cells, width: Optional[int] = None, has_colours: bool = False) -> List[str]:
    """
    Format the table, one line for all nodes with the same results, without checks that are for other work.

    If it is wider than the terminal, it has only the checks that found something or, if these are still too many, only
    what they found; a line below it summarises the others.

    Args:
        width: Columns of the terminal; None if lines can have any length.
    """
    colours = _COLOURS if has_colours else {}
    done = {name for row in table.values() for name, mark in row.items() if mark != NONE}
    checks = [name for name in catalog.NAMES if name in done or name not in catalog.ONLY_FOR]
    whole = _alike(table, checks)
    if _fits(whole, width):
        return columns.aligned(whole, colours=colours)
    loud = [name for name in checks if any(row[name] in _LOUD for row in table.values())]
    if not loud:
        return ["all checks of %s: %s" % (fold(list(table)), _summary(table, checks))]
    rows, rest = _alike(table, loud), [name for name in checks if name not in loud]
    if not _fits(rows, width):
        rows, rest = _findings(table, loud), checks
    shown = columns.fitted(rows, width, colours=colours)
    if rest:
        shown.append(columns.painted("all other checks: %s" % _summary(table, rest), colours.get(OK)))
    return shown


def _alike(table: Cells, checks: Sequence[str]) -> List[Tuple[str, ...]]:
    """Make one row for all nodes with the same results."""
    groups: Dict[Tuple[str, ...], List[str]] = {}
    for host, row in table.items():
        groups.setdefault(tuple(row[name] for name in checks), []).append(host)
    return [("NODE", *checks), *((fold(hosts), *marks) for marks, hosts in groups.items())]


def _findings(table: Cells, checks: Sequence[str]) -> List[Tuple[str, ...]]:
    """Make one row for all nodes on which a check found the same."""
    found = {(name, mark): [host for host in table if table[host][name] == mark] for name in checks for mark in _LOUD}
    return [("CHECK", "RESULT", "NODE"), *((name, mark, fold(on)) for (name, mark), on in found.items() if on)]


def _fits(rows: Sequence[Sequence[str]], width: Optional[int]) -> bool:
    return width is None or all(columns.width(line) <= width for line in columns.aligned(rows))


def _summary(table: Cells, checks: Sequence[str]) -> str:
    """Summarise the results of checks, without their findings."""
    silent = [name for name in checks if all(row[name] == NONE for row in table.values())]
    ran = [name for name in checks if name not in silent]
    if not ran:
        return "not run"
    partly = [host for host, row in table.items() if any(row[name] == NONE for name in ran)]
    parts = ["ok"]
    parts += ["not run: %s" % ", ".join(silent)] if silent else []
    parts += ["not all run on %s" % fold(partly)] if partly else []
    return "; ".join(parts)


def network_lines(candidates: Dict[str, List[Dict[str, Any]]]) -> List[str]:
    """Format every address of every node with the reason why it was chosen or not."""
    rows = [("NODE", "INTERFACE", "ADDRESS", "VERDICT")]
    for host, entries in candidates.items():
        rows += [(host, row["interface"], row["address"] or "-", row["verdict"]) for row in entries]
    return columns.aligned(rows)
