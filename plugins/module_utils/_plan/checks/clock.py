# SPDX-License-Identifier: Apache-2.0
"""Find clocks that are certainly wrong, beyond what the round trip explains. Pure; private to the collection."""

from __future__ import annotations

from typing import List, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Times
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices

ERROR_SECONDS, WARNING_SECONDS = 30.0, 1.0


def judge(case: Case, _: Choices) -> List[Problem]:
    """Return a problem for each such clock."""
    found = []
    for host, facts in case.nodes:
        low, high = ahead(facts["time"])
        certain = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        if certain > WARNING_SECONDS:
            code = "CLOCK_SKEWED" if certain > ERROR_SECONDS else "CLOCK_OFFSET"
            way = "ahead" if low + high > 0 else "behind"
            found.append(problem(code, host, "its clock is %.1f s %s" % (abs(low + high) / 2, way)))
    return found


def ahead(time: Times) -> Tuple[float, float]:
    """
    Return by how many seconds a node's clock is ahead of ours, at least and at most: the round trip leaves a range.

    The first is the better estimate: it depends only on the way of the answer; that of the question may include a whole
    handshake.

    Args:
        time: ``begun`` and ``ended`` by the node's clock, ``sent`` and ``received`` by ours.
    """
    return (time["ended"] - time["received"], time["begun"] - time["sent"]) if "sent" in time else (0.0, 0.0)
