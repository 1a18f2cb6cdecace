# SPDX-License-Identifier: Apache-2.0
"""Follow a run that is already started, from its files: attach to it, or only read its output. Private."""

from __future__ import annotations

import time
from typing import Any, Dict

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run, links
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor, Result, result_of
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Ways

# What may keep a reader from existing output. How the job ended is not its question.
UNSEEN = (*codes.LOST, "CHANNEL_FAILED", "RUN_UNKNOWN")


def read(
    conductor: Conductor, agents: Agents, plan: Plan, follow: bool, since: Any = None, read_only: bool = False
) -> Result:
    """
    Read existing output, and with ``follow`` what comes until the end of the run.

    Args:
        since: Where to begin, as a user writes it; None for the first byte.
        read_only: Whether neither a failure nor an interrupt may stop the run.

    Returns:
        As for a launch; without ``follow``, ``silent`` has by host the reason why nothing can be read.
    """
    started = time.monotonic()
    follower = conductor.follow(plan, read_only=read_only, begun=follow, to_end=follow)
    channels = links.Links(plan, agents, follower)
    begin = {"since": kinds.since(since, time.time())}
    for node in plan["nodes"]:
        host = node["host"]
        position = _at(begin, node.get("clock_offset") or 0.0)
        channels.open(host, position, follower.unreached, follow, begin=follower.armed)
    follower.follow()
    result = result_of(follower, plan, time.monotonic() - started)
    missing = [run for run in follower.runs if run.failure and run.failure_code in UNSEEN]
    result["silent"] = {run.host: run.failure["message"] for run in missing if run.failure}
    return result


def answer(result: Result, ways: Ways, follow: bool, read_only: bool) -> Result:
    """Reduce a result to what a reader asked for: which output is missing, not how the job ended."""
    if not follow:
        problems = [find_run.silence(ways[host], why) for host, why in result["silent"].items()]
        return {"changed": False, "nodes": {}, "exit_code": 0, "problems": problems}
    asked = [entry for entry in result["problems"] if not read_only or entry["code"] in UNSEEN]
    return {**result, "changed": not read_only, "problems": asked}


def _at(begin: Dict[str, Any], clock_offset: float) -> Dict[str, Any]:
    """Convert a time to a node's own clock."""
    if isinstance(begin["since"], float):
        return {"since": begin["since"] + clock_offset}
    return begin
