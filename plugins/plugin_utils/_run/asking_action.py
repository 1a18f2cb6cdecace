# SPDX-License-Identifier: GPL-3.0-or-later
"""A base for actions that query all hosts of their play about runs, once per play."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run, questions
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._ways import kept
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, play_rules, request_of, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class AskingAction(ActionBase):
    """Queries, shows the answers, then the problems, and leaves it to the role to fail."""

    BYPASS_HOST_LOOP = True
    question: str  # its name among ``questions``

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes`` by host, and ``problems`` of nodes without a valid answer."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        if not play_rules.is_meant(self._task, task_vars):
            return dict(play_rules.NOT_MEANT)
        arguments = request_of.arguments_of(self._task.args)
        self.is_dry = arguments["dry_run"] = bool(self._task.check_mode or arguments.get("dry_run"))
        with hosting.agents_of(self, task_vars) as agents:
            found = {**self._asked(agents, arguments), **_ways(agents, task_vars)}
        playbook_screen.notices(found.get("notices", []))
        self.show(found)
        playbook_screen.problems(found["problems"])
        before, after = self.difference(found) if self._task.diff else ([], [])
        if before or after:
            found["diff"] = {"before": _text(before), "after": _text(after)}
        return results.judged(found, found["problems"], arguments, list(task_vars["ansible_play_hosts_all"]))

    def _asked(self, agents: Agents, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return questions.BY_NAME[self.question](agents, arguments)
        except find_run.Unknown as unknown:
            nothing = {"changed": False, "exit_code": int(ExitCode.USAGE)}
            return {**nothing, "nodes": unknown.nodes, "problems": unknown.problems}

    def show(self, found: dict[str, Any]) -> None:
        """Show the answers of nodes."""
        raise NotImplementedError

    def difference(self, _: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Return the lines that ``--diff`` shows of the state before and after."""
        return [], []


def _ways(agents: Agents, task_vars: Any) -> dict[str, Any]:
    """Return how all hosts are reached, as data without secrets, in the form in which madctl keeps it."""
    if not task_vars.get("madctl_keep_ways"):
        return {}
    return {"ways": {host: kept.dumped(way) for host, way in agents.ways.items()}}


def _text(lines: Iterable[str]) -> str:
    return "".join(plain_text.plain(line) + "\n" for line in lines)
