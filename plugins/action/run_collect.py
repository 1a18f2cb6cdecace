# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch what a run left on its nodes: logs, events, exit records; once a play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._conduct import questions
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes``, the directory of each here, and ``problems`` of nodes that gave nothing."""
        super().run(tmp, task_vars)
        dry_run = bool(self._task.check_mode)
        found, arguments = hosting.asked(self, task_vars, questions.collect, dry_run=dry_run)
        playbook_screen.notices(found.get("notices", []))
        if dry_run and "run_id" in found:
            playbook_screen.tell("collect", "run %s would be fetched to %s" % (found["run_id"], found["dest"]))
        elif "warning_list" in found:
            playbook_screen.tell("collect", "run %s" % found["run_id"])
            playbook_screen.say("%s: %s" % (host, place) for host, place in found["nodes"].items())
            playbook_screen.notices(found["warning_list"])
        playbook_screen.problems(found["problems"])
        return results.left_to_role(results.judged(found, found["problems"]), arguments)
