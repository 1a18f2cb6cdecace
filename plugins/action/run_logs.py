# SPDX-License-Identifier: GPL-3.0-or-later
"""
Follow a run that was started before, from its files: attach to it, or just read its output.

Runs once per play. A small reader on each node sends what is in the run directory and then what comes;
it takes the orders to stop, and its end changes nothing.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run, read_run
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, play_rules, request_of, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once per play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return how the run ended; fail with ``problems``, the first failure first."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        if not play_rules.is_meant(self._task, task_vars):
            return dict(play_rules.NOT_MEANT)
        arguments = request_of.arguments_of(self._task.args)
        with hosting.agents_of(self, task_vars) as agents:
            try:
                plan, notices = find_run.plan_of(arguments, agents)
            except find_run.Unknown as unknown:
                playbook_screen.problems(unknown.problems)
                nothing = {"changed": False, "nodes": {}, "exit_code": int(ExitCode.USAGE)}
                return results.judged(nothing, unknown.problems, arguments, list(agents.ways))
            playbook_screen.notices(notices)
            quiet = bool(arguments.get("event_socket"))
            if not quiet:
                playbook_screen.tell("run", plan["run_id"])
            return self._follow(plan, arguments, agents, quiet)

    def _follow(self, plan: Plan, arguments: dict[str, Any], agents: Agents, quiet: bool) -> dict[str, Any]:
        follow = arguments.get("follow", True)
        read_only = self._task.check_mode or arguments.get("read_only", False)
        screen = playbook_screen.Screen(attached=True)
        screen.begin(plan)
        with hosting.conducted(agents, arguments.get("event_socket"), screen, exact=True) as conductor:
            asked, ended = read_run.read(conductor, agents, plan, follow, arguments.get("since"), read_only)
        if not follow:
            playbook_screen.problems(asked["problems"])
        elif not quiet:
            screen.done({**asked, "problems": ended}, shown=asked["problems"])
        return results.judged(asked, asked["problems"], arguments, list(agents.ways))
