# SPDX-License-Identifier: Apache-2.0
"""Find clocks that are certainly off, beyond what the round trip explains. Pure; private to the collection."""

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
        least, center = offset(facts["time"])
        if least > WARNING_SECONDS:
            code = "CLOCK_SKEWED" if least > ERROR_SECONDS else "CLOCK_OFFSET"
            way = "ahead" if center > 0 else "behind"
            found.append(problem(code, host, "its clock is %.1f s %s" % (abs(center), way)))
    return found


def offset(time: Times) -> Tuple[float, float]:
    """
    Bound a node's clock offset.

    Args:
        time: Seconds: ``begun`` and ``ended`` by the node's clock, ``sent`` and ``received`` by ours.

    Returns:
        The least offset that is certain, without sign, and the middle of what is possible, with sign.
    """
    if "sent" not in time:
        return 0.0, 0.0
    low, high = time["ended"] - time["received"], time["begun"] - time["sent"]
    certain = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return certain, (low + high) / 2


def lead(time: Times) -> float:
    """
    Estimate how many seconds a node's clock is ahead of ours.

    The estimate uses the answer's way alone, because the question's way may include a whole handshake.
    """
    return time["ended"] - time["received"] if "received" in time else 0.0


def uncertainty(time: Times) -> float:
    """Return half of the range of a clock's possible offset, in seconds: what the round trip leaves open."""
    if "sent" not in time:
        return 0.0
    return abs((time["begun"] - time["sent"]) - (time["ended"] - time["received"])) / 2
