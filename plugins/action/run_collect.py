# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch what a run left on its nodes, logs, events and exit records, once per play."""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from ansible_collections.madctl.multinode.plugins.plugin_utils._run.asking_action import AskingAction
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(AskingAction):
    """Run once per play."""

    question = "collect"

    def show(self, found: dict[str, Any]) -> None:
        """Show which nodes' files were fetched, and where they are."""
        if self.is_dry and "run_id" in found:
            playbook_screen.tell("collect", "run %s would be fetched to %s" % (found["run_id"], found["dest"]))
        elif found["nodes"]:
            where = "run %s: %s in %s" % (found["run_id"], fold(list(found["nodes"])), found["dest"])
            playbook_screen.tell("collect", where)
        playbook_screen.notices(found.get("warning_list", []))
