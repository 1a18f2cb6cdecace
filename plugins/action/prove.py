# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove what a plan assumes, on all nodes at once, and give the verdict of all checks."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._plan import proof_verdict
from ansible_collections.madctl.multinode.plugins.module_utils._show import check_table
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import proving, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the ``checks`` of every node; fail with all ``problems``."""
        super().run(tmp, task_vars)
        judged = remote_program.plain(self._task.args["judged"])
        skip, proof = set(judged["left_out"]), judged["proof"]
        due = any(proving.is_due(wanted) for wanted in proof.values())
        ways = choose_way.to(proof if due else (), self, task_vars["hostvars"])
        proved = proving.run(proof, ways)
        found = proof_verdict.judge({host: wanted for host, wanted in proof.items() if proving.is_due(wanted)}, proved)
        problems = judged["problems"] + [entry for entry in found if catalog.CHECK_OF[entry["code"]] not in skip]
        checks = check_table.cells(judged["hosts"], problems, judged["warning_list"], not_run(judged))
        result = {"changed": False, "checks": checks, "candidates": judged["candidates"]}
        if boolean(self._task.args.get("show", False)):
            playbook_screen.say(check_table.lines(checks, check_table.brief))
        if not judged["plan"]:
            # With a plan they were shown beside it.
            playbook_screen.notices(judged["warning_list"])
        playbook_screen.problems(problems)
        return results.left_to_role(results.judged(result, problems), self._task.args)


def not_run(judged: dict[str, Any]) -> dict[str, list[str]]:
    """Name the checks that say nothing of a node: skipped, without an object, or cut off by another failure."""
    unreached = {entry["host"] for entry in judged["problems"] if catalog.CHECK_OF.get(entry["code"]) == "reach"}
    silent = {}
    for host in judged["hosts"]:
        wanted = judged["proof"].get(host, {})
        names = set(judged["left_out"])
        if not judged["shared_paths"]:
            names.add("storage")
        if not (wanted.get("listen") or wanted.get("connect")):
            names.add("proof")
        if host in unreached:
            names = set(catalog.NAMES) - {"reach"}
        silent[host] = sorted(names)
    return silent
