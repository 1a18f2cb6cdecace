# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask all nodes of a run how it stands there, once a play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import find_run, hosting, play_rules, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_SECONDS = 25.0


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes`` by host, and ``problems`` of nodes that did not answer."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        arguments = plain(self._task.args)
        with hosting.agents_of(self, task_vars) as agents:
            try:
                plan = find_run.plan_of(arguments, agents)
            except find_run.Unknown as unknown:
                return results.left_to_role(unknown.result, arguments)
            ways, run_dirs = agents.ways, {node["host"]: node.get("run_dir") for node in plan["nodes"]}

            def request(host: str) -> dict[str, Any]:
                return {"run_id": plan["run_id"], "run_dir": run_dirs[host]}

            answers = agents.ask(run_dirs, "_runs.run_state:look", request, _SECONDS)
        silent = [host for host in run_dirs if "state" not in answers[host]]
        reasons = {host: answers[host]["msg"] for host in silent}
        nodes = {host: answers[host] for host in run_dirs if host not in silent}
        result = results.answered(nodes, reasons, ways, changed=False)
        playbook_screen.tell("run", plan["run_id"])
        if nodes:
            playbook_screen.table(status_table.rows([{"host": host, **node} for host, node in nodes.items()]))
        playbook_screen.problems(result["problems"])
        return results.left_to_role(dict(result, run_id=plan["run_id"]), arguments)
