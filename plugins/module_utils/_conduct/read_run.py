# SPDX-License-Identifier: Apache-2.0
"""Follow a run that somebody started, from its files: attach to it, or just read its output. Private."""

from __future__ import annotations

import time
from typing import Any, Dict

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import links
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor, Result, result_of
from ansible_collections.madctl.multinode.plugins.module_utils._request import moments

# What keeps a reader from output that there may be; how the job ended is not what it asks.
UNSEEN = (*codes.LOST, "CHANNEL_FAILED", "RUN_UNKNOWN")


def read(
    conductor: Conductor, agents: Agents, plan: Plan, follow: bool, since: Any = None, read_only: bool = False
) -> Result:
    """
    Read what there is, and with ``follow`` what comes, to the run's end.

    Args:
        since: Where to begin, as a person says it; None for the first byte.
        read_only: Whether neither a failure nor an interrupt may stop the run.

    Returns:
        As for a launch; without ``follow`` its ``silent`` says by host why there is nothing to read.
    """
    started = time.monotonic()
    follower = conductor.follow(plan, read_only=read_only, begun=follow, to_end=follow)
    channels = links.Links(plan, agents, follower)
    begin = {"since": moments.since(since, time.time())}
    for node in plan["nodes"]:
        host = node["host"]
        position = _at(begin, node.get("clock_offset") or 0.0)
        channels.open(host, position, follower.unreached, follow, begin=follower.armed)
    follower.follow()
    result = result_of(follower, plan, time.monotonic() - started)
    missing = [run for run in follower.runs if run.failure and run.failure_code in UNSEEN]
    result["silent"] = {run.host: run.failure["message"] for run in missing if run.failure}
    return result


def _at(begin: Dict[str, Any], clock_offset: float) -> Dict[str, Any]:
    """Say a time as a node's own clock does."""
    if isinstance(begin["since"], float):
        return {"since": begin["since"] + clock_offset}
    return begin
