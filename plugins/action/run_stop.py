# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a run on all nodes at once, and verify on each that nothing is left; once per play."""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from ansible_collections.madctl.multinode.plugins.plugin_utils._run.asking_action import AskingAction
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(AskingAction):
    """Run once per play."""

    question = "stop"

    def show(self, found: dict[str, Any]) -> None:
        """Show which nodes have nothing left of the run, or what would be stopped."""
        if not found.get("known"):
            return
        nodes = found["nodes"]
        empty = [host for host, node in nodes.items() if not node["left"]]
        going = [host for host, node in nodes.items() if node["changed"]]
        if self.is_dry:
            said = "would be stopped on %s" % fold(going) if going else "there is nothing to stop"
            playbook_screen.tell("stop", "run %s: %s" % (found["run_id"], said))
        elif empty:
            playbook_screen.tell("stop", "run %s: nothing is left on %s" % (found["run_id"], fold(empty)))

    def difference(self, found: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Return what is ended, and what is left."""
        nodes = found["nodes"].items()
        ending = ["%s: run %s" % (host, found.get("run_id", "")) for host, node in nodes if node["changed"]]
        return ending, ["%s: %s" % (host, what) for host, node in nodes for what in node["left"]]
