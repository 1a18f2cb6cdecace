# SPDX-License-Identifier: Apache-2.0
"""Lay out what checks found: nodes × checks, and the reasons behind the network. Pure; private to the collection."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem

OK, WARN, FAIL, NONE = "ok", "warn", "FAIL", "-"
_NUMBERED = re.compile(r"([^:]*?)([0-9]{1,9})([^0-9:]*)")
_Parts = Tuple[str, str, str]  # what is before a name's last number, the number, what is after it
Cells = Dict[str, Dict[str, str]]


def cells(
    hosts: Sequence[str], problems: Sequence[Problem], warnings: Sequence[Problem], not_run: Mapping[str, Sequence[str]]
) -> Cells:
    """
    Sum up every check of every node.

    Args:
        not_run: Checks that say nothing, by host; those of an unreachable node are all but ``reach``.

    Returns:
        By host and check ``ok``, ``warn``, ``FAIL`` or ``-``.
    """
    table = {host: {name: NONE if name in not_run.get(host, ()) else OK for name in catalog.NAMES} for host in hosts}
    for mark, findings in ((WARN, warnings), (FAIL, problems)):
        for finding in findings:
            check = catalog.CHECK_OF.get(finding["code"], "reach")
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
    checks = [name for name in catalog.NAMES if name in said or name not in catalog.ONLY_FOR]
    groups: Dict[Tuple[str, ...], List[str]] = {}
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


def fold(hosts: Sequence[str]) -> str:
    """Write all names of a list with ranges of numbers: ``gpu[01-03,05],login``."""
    names = {host: _parts(host) for host in hosts}
    padded = {(before, len(number), after) for before, number, after in names.values() if number[:1] == "0"}
    groups: Dict[Tuple[str, int, str], List[str]] = {}
    for before, number, after in names.values():
        length = len(number)
        width = length if (before, length, after) in padded or not number else 0
        groups.setdefault((before, width, after), []).append(number)
    return ",".join(_folded(key, numbers) for key, numbers in groups.items())


def _parts(host: str) -> _Parts:
    match = _NUMBERED.fullmatch(host)
    return (match.group(1), match.group(2), match.group(3)) if match else (host, "", "")


def _folded(key: Tuple[str, int, str], texts: Sequence[str]) -> str:
    before, width, after = key
    if len(texts) == 1:
        return before + texts[0] + after
    numbers = sorted(map(int, texts))
    begins = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    ranges = [(str(begin).zfill(width), str(end).zfill(width)) for begin, end in zip(begins, ends)]
    inside = ",".join(begin if begin == end else "%s-%s" % (begin, end) for begin, end in ranges)
    return "%s[%s]%s" % (before, inside, after)


def network_lines(candidates: Dict[str, List[Dict[str, Any]]]) -> List[str]:
    """Write every address of every node with the reason why it was chosen or not."""
    rows = [("NODE", "INTERFACE", "ADDRESS", "VERDICT")]
    for host, entries in candidates.items():
        rows += [(host, row["interface"], row["address"] or "-", row["verdict"]) for row in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]) for row in rows]
