# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove what runs of long ago left on all nodes of the play, once a play."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import questions
from ansible_collections.madctl.multinode.plugins.module_utils._request import validation
from ansible_collections.madctl.multinode.plugins.module_utils._show import job_lines
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return by host what was removed, and ``problems`` of nodes that did not answer."""
        super().run(tmp, task_vars)
        playbook_screen.refuse(validation.judge(self._task.args))
        dry_run = self._task.check_mode or boolean(self._task.args.get("dry_run", False))
        found, arguments = hosting.asked(self, task_vars, questions.gc, dry_run=dry_run)
        nodes = {host: node for host, node in found["nodes"].items() if node["removed"] or node["programs"]}
        found["changed"] = bool(nodes) and (self._task.check_mode or not dry_run)
        playbook_screen.say(_said(host, node, dry_run) for host, node in nodes.items())
        playbook_screen.problems(found["problems"])
        if self._task.diff:
            gone = [
                plain_text.plain("%s: %s" % (host, run["run_id"])) + "\n"
                for host, node in nodes.items()
                for run in node["removed"]
            ]
            found["diff"] = {"before": "".join(gone), "after": ""}
        return results.left_to_role(results.judged(found, found["problems"]), arguments)


def _said(host: str, node: dict[str, Any], dry_run: bool) -> str:
    runs, programs = node["removed"], node["programs"]
    taken = job_lines.size(sum(entry["bytes"] for entry in [*runs, *programs]))
    verb = "would be" if dry_run else "were"
    return "%s: %d runs and %d sets of programs %s removed, %s" % (host, len(runs), len(programs), verb, taken)
