# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect all nodes of the play at once, judge the facts, and plan if there is no problem."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import own_settings
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import (
    hosting,
    play_rules,
    request_of,
    results,
    verdict,
)
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once per play; the result is registered for every node."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``plan`` and ``nodes`` by host, ``checks`` if the plan was proven; fail with all ``problems``."""
        super().run(tmp, task_vars)
        variables = play_rules.require(self._task, task_vars)
        read = request_of.read(self._task.args, variables)
        arguments = own_settings.added(read, task_vars, list(variables))
        stages = play_rules.stages(self._task, task_vars, arguments)
        event_socket = arguments["event_socket"]
        with hosting.agents_of(self, task_vars, variables=variables) as agents, hosting.conducted(
            agents, event_socket, playbook_screen.Screen()
        ) as conductor:
            judged = verdict.look(conductor, arguments, variables, stages, in_full=True)
            if conductor.is_over:
                return verdict.interrupted(conductor, arguments, list(variables))
            result, problems = verdict.found(judged), judged.problems
            wanted = boolean(arguments.get("prove", False)) and not judged.without_ifconfig
            if wanted or judged.plan is None:
                result["checks"], problems = verdict.prove(conductor, judged, arguments, wanted and not event_socket)
        return results.judged(result, problems, arguments, list(variables))
