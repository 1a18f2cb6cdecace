# SPDX-License-Identifier: Apache-2.0
"""Follow a run that is already started, from its files: attach to it, or only read its output. Private."""

from __future__ import annotations

import time
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run, links
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor, Result, result_of
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds

# Errors that keep a reader from existing output. It does not report how the job ended.
UNSEEN = (*codes.LOST, "CHANNEL_FAILED", "RUN_UNKNOWN")


class Wanted(NamedTuple):
    """The part of the output that a reader wants."""

    follow: bool = False  # also what is added until the end of the run
    since: Optional[str] = None  # where to begin, as a user writes it; by default at the first byte
    lines: Optional[int] = None  # how many lines of each log before its end; by default all
    ranks: Sequence[str] = ()  # lists of the only ranks whose logs are read; by default all, and what runners print
    with_times: bool = False  # with the times at which it was written

    @property
    def skips(self) -> bool:
        """Whether it may leave out all output on purpose."""
        return self.since is not None or self.lines == 0


def wanted(arguments: Mapping[str, Any]) -> Wanted:
    """Return what the parsed arguments of a task ask for."""
    given = {name: arguments.get(name) for name in ("follow", "since", "lines", "with_times")}
    set_ones = {name: value for name, value in given.items() if value is not None}
    return Wanted(**set_ones, ranks=arguments.get("show_ranks") or ())


def read(
    conductor: Conductor, agents: Agents, plan: Plan, wanted: Wanted, read_only: bool = False
) -> Tuple[Result, List[codes.Problem]]:
    """
    Read existing output and, on request, what is added later.

    Args:
        read_only: Whether neither a failure nor an interrupt may stop the run.

    Returns:
        As for a launch, but about the reader's request: which output is missing, not how the job ended. Then the
        problems of the job, none for an unfinished one.
    """
    started, follow = time.monotonic(), wanted.follow
    follower = conductor.follow(plan, read_only=read_only, begun=follow, to_end=follow)
    reading = {"ranks": ",".join(wanted.ranks), "with_times": wanted.with_times}
    channels = links.Links(plan, agents, follower, reading)
    moment = kinds.since(wanted.since, time.time())
    for node in plan["nodes"]:
        # A time is converted to the time of the node's own clock.
        begin = moment + (node.get("clock_offset") or 0.0) if isinstance(moment, float) else moment
        position = {"since": begin, "lines": wanted.lines}
        channels.open(node["host"], position, follower.unreached, follow, begin=follower.armed)
    follower.follow()
    if not follow:
        failures = {run.host: run.failure for run in follower.runs if run.failure and run.failure_code in UNSEEN}
        problems = [find_run.silence(agents.ways[host], failure["message"]) for host, failure in failures.items()]
        return {"changed": False, "nodes": {}, "exit_code": 0, "problems": problems}, []
    # The run's own start time: it began earlier.
    begins, ends = [run.began for run in follower.runs], [run.ended for run in follower.runs]
    ended = time.time() if None in ends else max(filter(None, ends))
    seconds = ended - min(filter(None, begins)) if any(begins) else time.monotonic() - started
    result = {**result_of(follower, plan, max(0.0, seconds)), "ended": ended}
    asked = [entry for entry in result["problems"] if not read_only or entry["code"] in UNSEEN]
    return {**result, "changed": not read_only, "problems": asked}, result["problems"]
