# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask all nodes of a run how it stands there, once a play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._conduct import questions
from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes`` by host, and ``problems`` of nodes that did not answer."""
        super().run(tmp, task_vars)
        found, arguments = hosting.asked(self, task_vars, questions.status)
        if found["nodes"] or found["problems"]:
            playbook_screen.notices(found.get("notices", []))
        if "run_id" in found:
            playbook_screen.tell("run", found["run_id"])
        if found["nodes"]:
            playbook_screen.say(status_table.lines([{"host": host, **node} for host, node in found["nodes"].items()]))
        playbook_screen.problems(found["problems"])
        return results.left_to_role(results.judged(found, found["problems"]), arguments)
