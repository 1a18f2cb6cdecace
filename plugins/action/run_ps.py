# SPDX-License-Identifier: GPL-3.0-or-later
"""List the runs on all nodes of the play, once per play."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from ansible_collections.madctl.multinode.plugins.plugin_utils._run.asking_action import AskingAction
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(AskingAction):
    """Run once per play."""

    question = "ps"

    def show(self, found: dict[str, Any]) -> None:
        """Show one line per run."""
        playbook_screen.say(columns.aligned(_rows(found["nodes"])))


def _rows(nodes: dict[str, Any]) -> list[list[str]]:
    """Write one line per run, the latest last."""
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
