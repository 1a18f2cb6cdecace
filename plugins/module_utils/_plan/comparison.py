# SPDX-License-Identifier: Apache-2.0
"""Compare nodes: the most frequent value is taken as the right one. Pure; private to the collection."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple, TypeVar

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem

Known = TypeVar("Known")


def usual(values: Sequence[Known]) -> Optional[Known]:
    """Return the most frequent value, the first of several; None without any."""
    return Counter(values).most_common(1)[0][0] if values else None


def odd_ones(nodes: Iterable[Tuple[str, Known]], value: Callable[[Known], Any]) -> List[Tuple[str, Any, Any]]:
    """Return nodes whose value differs from that of most nodes, with both; nodes without a value are not judged."""
    values = [(host, value(facts)) for host, facts in nodes]
    most = usual([entry for _, entry in values if entry is not None])
    return [(host, entry, most) for host, entry in values if entry not in (None, most)]


def odd(code: str, nodes: Iterable[Tuple[str, Known]], value: Callable[[Known], Any], what: str) -> List[Problem]:
    """Report nodes whose value differs from that of most nodes."""
    text = "%s %s, most nodes have %s"
    return [problem(code, host, text % (what, entry, most)) for host, entry, most in odd_ones(nodes, value)]
