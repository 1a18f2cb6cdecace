# SPDX-License-Identifier: Apache-2.0
"""Follow a run that is already started, from its files: attach to it, or only read its output. Private."""

from __future__ import annotations

import time
from typing import Any, List, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run, links
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor, Result, result_of
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds

# What may keep a reader from existing output. How the job ended is not its question.
UNSEEN = (*codes.LOST, "CHANNEL_FAILED", "RUN_UNKNOWN")


def read(
    conductor: Conductor, agents: Agents, plan: Plan, follow: bool, since: Any = None, read_only: bool = False
) -> Tuple[Result, List[codes.Problem]]:
    """
    Read existing output, and with ``follow`` what comes until the end of the run.

    Args:
        since: Where to begin, as a user writes it; None for the first byte.
        read_only: Whether neither a failure nor an interrupt may stop the run.

    Returns:
        As for a launch, with what the reader asked for: which output is missing, not how the job ended. Then the
        problems of the job, none of an unfinished one.
    """
    started = time.monotonic()
    follower = conductor.follow(plan, read_only=read_only, begun=follow, to_end=follow)
    channels = links.Links(plan, agents, follower)
    moment = kinds.since(since, time.time())
    for node in plan["nodes"]:
        # A time is converted to the node's own clock.
        begin = moment + (node.get("clock_offset") or 0.0) if isinstance(moment, float) else moment
        channels.open(node["host"], {"since": begin}, follower.unreached, follow, begin=follower.armed)
    follower.follow()
    if not follow:
        failures = {run.host: run.failure for run in follower.runs if run.failure and run.failure_code in UNSEEN}
        problems = [find_run.silence(agents.ways[host], failure["message"]) for host, failure in failures.items()]
        return {"changed": False, "nodes": {}, "exit_code": 0, "problems": problems}, []
    # The run's own time: it began before.
    begins, ends = [run.began for run in follower.runs], [run.ended for run in follower.runs]
    ended = time.time() if None in ends else max(filter(None, ends))
    seconds = ended - min(filter(None, begins)) if any(begins) else time.monotonic() - started
    result = {**result_of(follower, plan, max(0.0, seconds)), "ended": ended}
    asked = [entry for entry in result["problems"] if not read_only or entry["code"] in UNSEEN]
    return {**result, "changed": not read_only, "problems": asked}, result["problems"]
