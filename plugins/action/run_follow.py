# SPDX-License-Identifier: GPL-3.0-or-later
"""
Follow a run that somebody started, from its files: attach to it, or just read its output.

Runs once a play. A small reader on each node sends what is in the run directory and then what comes;
it takes the orders to stop, and its end changes nothing.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower
from ansible_collections.madctl.multinode.plugins.module_utils._request import moments
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import (
    event_queue,
    find_run,
    play_rules,
    reconnect,
    results,
    signals,
)
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

# What keeps a reader from output that there may be; how the job ended is not what it asks.
_UNSEEN = (*codes.LOST, "CHANNEL_FAILED", "RUN_UNKNOWN")


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return how the run ended; fail with ``problems``, the first failure first."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        arguments = remote_program.plain(self._task.args)
        try:
            plan = find_run.plan_of(arguments, self, task_vars)
        except find_run.Unknown as unknown:
            return results.left_to_role(unknown.result, arguments)
        quiet = bool(arguments.get("event_socket"))
        if not quiet:
            playbook_screen.tell("run", plan["run_id"])
        return results.left_to_role(self._follow(plan, arguments, task_vars, quiet), arguments)

    def _follow(self, plan: Plan, arguments: dict[str, Any], task_vars: Any, quiet: bool) -> dict[str, Any]:
        follow = boolean(arguments.get("follow", True))
        read_only = self._task.check_mode or boolean(arguments.get("read_only", False))
        screen = playbook_screen.Screen(plan, attached=True)
        events = event_queue.Events(arguments.get("event_socket"), screen, exact=True)
        ways = choose_way.to((node["host"] for node in plan["nodes"]), self, task_vars["hostvars"])
        follower = Follower(plan, events.tell, ways, read_only=read_only, begun=follow, to_end=follow)
        signals.obey(follower, events)
        started = time.monotonic()
        begin = {"since": moments.since(arguments.get("since"), time.time())}
        with events, reconnect.Links(plan, ways, follower) as links:
            for node in plan["nodes"]:
                position = _at(begin, node.get("clock_offset") or 0.0)
                channel = reconnect.open_tail(ways[node["host"]], links.request(node["host"], position, follow))
                assert channel is not None
                follower.armed(node["host"], channel)
            follower.follow()
        if not follow:
            # Whoever only reads what is there judges nothing, but must know what is missing.
            missing = [run for run in follower.runs if run.failure and run.failure_code in _UNSEEN]
            silent = {run.host: run.failure["message"] for run in missing if run.failure}
            result = dict(results.answered({}, silent, ways, changed=False), exit_code=int(ExitCode.SUCCEEDED))
            playbook_screen.problems(result["problems"])
            return result
        result = results.of_run(follower, plan, time.monotonic() - started)
        # How the job ended is not what a reader asks; which output is missing is.
        asked = [entry for entry in result["problems"] if not read_only or entry["code"] in _UNSEEN]
        if not quiet:
            screen.done(result, asked)
        return results.judged(dict(result, changed=not read_only), asked)


def _at(begin: dict[str, Any], clock_offset: float) -> dict[str, Any]:
    """Say a time as a node's own clock does."""
    if isinstance(begin["since"], float):
        return {"since": begin["since"] + clock_offset}
    return begin
