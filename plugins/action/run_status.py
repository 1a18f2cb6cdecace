# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask all nodes of a run for its state, once per play."""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table, verdict_text
from ansible_collections.madctl.multinode.plugins.plugin_utils._run.asking_action import AskingAction
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(AskingAction):
    """Run once per play."""

    question = "status"

    def show(self, found: dict[str, Any]) -> None:
        """Show the verdict, then one line per node."""
        if "run_id" in found:
            playbook_screen.say([verdict_text.whole(found["run"])])
            playbook_screen.tell("run", found["run_id"])
        if found["nodes"]:
            playbook_screen.say(status_table.lines([{"host": host, **node} for host, node in found["nodes"].items()]))
