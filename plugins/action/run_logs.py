# SPDX-License-Identifier: GPL-3.0-or-later
"""
Read the output of a run that is already started, from its files, and follow it on request.

Runs once per play. A small reader on each node sends what is in the run directory and, on request, what is added later;
it receives the orders to stop, and its end does not affect the run.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run, read_run
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._show import chosen as chosen_output
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
                return self._refused(unknown.problems, arguments, agents)
            playbook_screen.notices(notices)
            empty = chosen_output.problems(request_of.chosen(arguments), plan)
            if empty:
                return self._refused(empty, arguments, agents)
            quiet = bool(arguments.get("event_socket"))
            if not quiet:
                playbook_screen.tell("run", plan["run_id"])
            return self._follow(plan, arguments, agents, quiet)

    @staticmethod
    def _refused(problems: list[codes.Problem], arguments: dict[str, Any], agents: Agents) -> dict[str, Any]:
        playbook_screen.problems(problems)
        nothing = {"changed": False, "nodes": {}, "exit_code": int(ExitCode.USAGE)}
        return results.judged(nothing, problems, arguments, list(agents.ways))

    def _follow(self, plan: Plan, arguments: dict[str, Any], agents: Agents, quiet: bool) -> dict[str, Any]:
        wanted, chosen = read_run.wanted(arguments), request_of.chosen(arguments)
        if not wanted.follow:
            # All nodes are followed to the end, because the summary covers all of them.
            plan = chosen_output.narrowed(chosen, plan)
        read_only = self._task.check_mode or arguments.get("read_only", False)
        screen = playbook_screen.Screen(attached=True, chosen=chosen)
        screen.begin(plan)
        with hosting.conducted(agents, arguments.get("event_socket"), screen, exact=True) as conductor:
            asked, ended = read_run.read(conductor, agents, plan, wanted, read_only)
        if not wanted.follow:
            playbook_screen.problems(asked["problems"])
            who_has = chosen_output.silent(chosen, plan, screen.printed)
            if who_has and not (quiet or asked["problems"] or wanted.skips):
                playbook_screen.tell("notice", "%s printed nothing yet" % who_has)
        elif not quiet:
            screen.done({**asked, "problems": ended}, shown=asked["problems"])
        return results.judged(asked, asked["problems"], arguments, list(agents.ways))
