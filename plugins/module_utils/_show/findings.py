# SPDX-License-Identifier: Apache-2.0
"""
The findings of an inspection, once for all nodes with the same: checks and fingerprints.

Pure; private to the collection.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._show.check_table import Cells

# These differ between almost all nodes, and do not show a difference that matters.
_OWN = ("space", "clock_offset_seconds", "clock_uncertainty_seconds")
_MOST = 64  # groups of nodes


def told(checks: Cells, prints: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """
    Return both in a form that stays small for many nodes.

    Args:
        checks: See ``check_table.cells``.
        prints: The fingerprint of each node, by host.

    Returns:
        ``checks`` and ``prints``, each a list of ``hosts`` and what they have in common.
    """
    same = {host: {key: value for key, value in found.items() if key not in _OWN} for host, found in prints.items()}
    return {"checks": _grouped(checks), "prints": _grouped(same)}


def _grouped(rows: Mapping[str, Mapping[str, Any]]) -> List[Dict[str, Any]]:
    groups: Dict[str, List[str]] = {}
    for host, row in rows.items():
        groups.setdefault(json.dumps(row, sort_keys=True), []).append(host)
    return [{"hosts": hosts, "row": json.loads(text)} for text, hosts in list(groups.items())[:_MOST]]
