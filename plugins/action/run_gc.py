# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete files of old runs on all nodes of the play, once per play."""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import removals
from ansible_collections.madctl.multinode.plugins.plugin_utils._run.asking_action import AskingAction
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(AskingAction):
    """Run once per play."""

    question = "gc"

    def show(self, found: dict[str, Any]) -> None:
        """Show one line per node where something was removed or would be."""
        nodes = {host: node for host, node in found["nodes"].items() if node["removed"] or node["programs"]}
        found["changed"] = bool(nodes) and (self._task.check_mode or not self.is_dry)
        playbook_screen.say(removals.line(host, node, self.is_dry) for host, node in nodes.items())

    def difference(self, found: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Return the runs that are removed."""
        nodes = found["nodes"].items()
        return ["%s: %s" % (host, run["run_id"]) for host, node in nodes for run in node["removed"]], []
