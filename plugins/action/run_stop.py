# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a run on all nodes at once, and learn of each whether anything is left; once a play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import questions
from ansible_collections.madctl.multinode.plugins.module_utils._request import validation
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return by host what is ``left``, and ``problems`` of nodes that gave no proof."""
        super().run(tmp, task_vars)
        playbook_screen.refuse(validation.judge(self._task.args))
        dry_run = bool(self._task.check_mode)
        found, arguments = hosting.asked(self, task_vars, questions.stop, dry_run=dry_run)
        nodes, run_id = found["nodes"], str(found.get("run_id") or "")
        playbook_screen.notices(found.get("notices", []))
        playbook_screen.problems(found["problems"])
        empty = [host for host, node in nodes.items() if not node["left"]]
        going = [host for host, node in nodes.items() if node["changed"]]
        if not found.get("known"):
            return results.left_to_role(results.judged(found, found["problems"]), arguments)
        if dry_run:
            said = "would be stopped on %s" % fold(going) if going else "there is nothing to stop"
            playbook_screen.tell("stop", "run %s: %s" % (run_id, said))
        elif empty:
            playbook_screen.tell("stop", "run %s: nothing is left on %s" % (run_id, fold(empty)))
        if self._task.diff:
            found["diff"] = _difference(run_id, nodes)
        return results.left_to_role(results.judged(found, found["problems"]), arguments)


def _difference(run_id: str, nodes: dict[str, Any]) -> dict[str, str]:
    """Show what ends, and what is left."""
    ending = ["%s: run %s" % (host, run_id) for host, node in nodes.items() if node["changed"]]
    left = ["%s: %s" % (host, what) for host, node in nodes.items() for what in node["left"]]
    before, after = ("".join(plain_text.plain(line) + "\n" for line in lines) for lines in (ending, left))
    return {"before": before, "after": after}
