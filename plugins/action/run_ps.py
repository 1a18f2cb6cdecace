# SPDX-License-Identifier: GPL-3.0-or-later
"""List the runs on all nodes of the play, once per play."""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table
from ansible_collections.madctl.multinode.plugins.plugin_utils._run.asking_action import AskingAction
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(AskingAction):
    """Run once per play."""

    question = "ps"

    def show(self, found: dict[str, Any]) -> None:
        """Show one line per run, the newest first."""
        playbook_screen.say(status_table.of_runs(found["runs"]))
