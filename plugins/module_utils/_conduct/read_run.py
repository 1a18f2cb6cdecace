# SPDX-License-Identifier: Apache-2.0
"""Follow a run that somebody started, from its files: attach to it, or just read its output. Private."""

from __future__ import annotations

import time
from typing import Any, Dict

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run, links
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor, Result, result_of
from ansible_collections.madctl.multinode.plugins.module_utils._request import moments
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Ways

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


def answer(result: Result, ways: Ways, follow: bool, read_only: bool) -> Result:
    """Give of a result what a reader asked: how a job ended is not, which output is missing is."""
    if not follow:
        problems = [find_run.silence(ways[host], why) for host, why in result["silent"].items()]
        return {"changed": False, "nodes": {}, "exit_code": 0, "problems": problems}
    asked = [entry for entry in result["problems"] if not read_only or entry["code"] in UNSEEN]
    return {**result, "changed": not read_only, "problems": asked}


def _at(begin: Dict[str, Any], clock_offset: float) -> Dict[str, Any]:
    """Say a time as a node's own clock does."""
    if isinstance(begin["since"], float):
        return {"since": begin["since"] + clock_offset}
    return begin
