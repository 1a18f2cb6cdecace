# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask all nodes of a run how it stands there, once a play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table
from ansible_collections.madctl.multinode.plugins.plugin_utils import (
    _direct,
    _finding,
    _following,
    _play,
    _reach,
    _round,
    _screen,
)

_MODULES = _direct.parts("_runs.run_state")
_SECONDS = 25.0


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes`` by host, and ``problems`` of nodes that did not answer."""
        super().run(tmp, task_vars)
        _play.require(self._task, task_vars)
        arguments = _direct.plain(self._task.args)
        try:
            plan = _finding.plan_of(arguments, self, task_vars)
        except _finding.Unknown as unknown:
            return _following.left_to_role(unknown.result, arguments)
        run_dirs = {node["host"]: node.get("run_dir") for node in plan["nodes"]}
        reach = {host: _reach.Reach(host, self, task_vars["hostvars"][host]) for host in run_dirs}
        answers: dict[str, dict[str, Any]] = {}

        def program(host: str, _: Any) -> _direct.Program:
            return _direct.Program("look", _MODULES, {"run_id": plan["run_id"], "run_dir": run_dirs[host]})

        round_of_all = _round.Round(reach, None, program, lambda host, answer: answers.update({host: answer}))
        round_of_all.start()
        round_of_all.close(_SECONDS)
        silent = [host for host in run_dirs if "state" not in answers[host]]
        reasons = {host: answers[host]["msg"] for host in silent}
        nodes = {host: answers[host] for host in run_dirs if host not in silent}
        result = _following.answered(nodes, reasons, changed=False)
        _screen.tell("run", plan["run_id"])
        if nodes:
            _screen.table(status_table.rows([{"host": host, **node} for host, node in nodes.items()]))
        _screen.problems(result["problems"])
        return _following.left_to_role(dict(result, run_id=plan["run_id"]), arguments)
