# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask all nodes of the play which runs they hold, once a play."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import questions
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes`` with their ``runs`` by host, and ``problems`` of nodes that did not answer."""
        super().run(tmp, task_vars)
        found, arguments = hosting.asked(self, task_vars, questions.ps)
        playbook_screen.say(columns.aligned(_rows(found["nodes"])))
        playbook_screen.problems(found["problems"])
        return results.left_to_role(results.judged(found, found["problems"]), arguments)


def _rows(nodes: dict[str, Any]) -> list[list[str]]:
    """Write one line a run, the latest last."""
    shares: dict[str, dict[str, Any]] = {}
    for host, node in nodes.items():
        for run in node["runs"]:
            shares.setdefault(run["run_id"], {})[host] = run
    rows = [["RUN", "STARTED", "STATE", "NODES", "WORK"]]
    for run_id in sorted(shares):
        states = ",".join(dict.fromkeys(run["state"] for run in shares[run_id].values()))
        said = next((run["described"] for run in shares[run_id].values() if run["described"]), None)
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(said["created"])) if said else "-"
        work = raw_words.joined(said["work"]) if said else "-"
        row = [run_id, started, states, fold(list(shares[run_id])), work]
        rows.append(row)
    return rows
