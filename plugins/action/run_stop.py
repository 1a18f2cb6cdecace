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
    _run_id = ""

    def show(self, found: dict[str, Any]) -> None:
        """Show where nothing is left, or what would be stopped."""
        nodes, self._run_id = found["nodes"], str(found.get("run_id") or "")
        if not found.get("known"):
            return
        empty = [host for host, node in nodes.items() if not node["left"]]
        going = [host for host, node in nodes.items() if node["changed"]]
        if self.is_dry:
            said = "would be stopped on %s" % fold(going) if going else "there is nothing to stop"
            playbook_screen.tell("stop", "run %s: %s" % (self._run_id, said))
        elif empty:
            playbook_screen.tell("stop", "run %s: nothing is left on %s" % (self._run_id, fold(empty)))

    def difference(self, nodes: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Return what ends, and what is left."""
        ending = ["%s: run %s" % (host, self._run_id) for host, node in nodes.items() if node["changed"]]
        return ending, ["%s: %s" % (host, what) for host, node in nodes.items() for what in node["left"]]
