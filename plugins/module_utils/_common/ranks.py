# SPDX-License-Identifier: Apache-2.0
"""Determine which ranks are on which node. Pure; private to the collection."""

from __future__ import annotations

import itertools
from typing import List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan


def of_nodes(plan: Plan) -> List[Optional[range]]:
    """Return the ranks of every node; None if the plan does not say, or the runner may assign them in another order."""
    counts = [node.get("nproc_per_node") or 0 for node in plan["nodes"]]
    if not runners.ranks_by(plan.get("runner")).deals_in_order or not all(counts) or sum(counts) != plan["world_size"]:
        return [None] * len(counts)
    ends = list(itertools.accumulate(counts))
    return [range(end - count, end) for count, end in zip(counts, ends)]
