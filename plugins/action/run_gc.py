# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove what runs of long ago left on all nodes of the play, once a play."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._request import validation
from ansible_collections.madctl.multinode.plugins.module_utils._show import job_lines
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, play_rules, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

# To look takes moments; to remove millions of files takes minutes.
_LOOK_SECONDS, _REMOVE_SECONDS = 25.0, 600.0
_DAYS = 7.0


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return by host what was removed, and ``problems`` of nodes that did not answer."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        arguments = plain(self._task.args)
        playbook_screen.refuse(validation.judge(arguments))
        bases = arguments.get("bases") or {}
        dry_run = self._task.check_mode or boolean(arguments.get("dry_run", False))

        def request(host: str) -> dict[str, Any]:
            return {"run_dir": arguments.get("run_dir"), "bases": bases.get(host) or []}

        with hosting.agents_of(self, task_vars) as agents:
            ways = agents.ways
            # A run that lives on one node is kept on all: its other shares may be all that tells how it ended there.
            living = agents.ask(ways, "_runs.survey:alive", request, _LOOK_SECONDS)
            answered = [host for host in ways if "alive" in living[host]]
            order = {
                "keep": sorted({name for host in answered for name in living[host]["alive"]}),
                "days": float(arguments.get("days", _DAYS)),
                "dry_run": dry_run,
            }
            cleared = agents.ask(
                answered, "_runs.cleanup:clear", lambda host: {**request(host), **order}, _REMOVE_SECONDS
            )
        nodes = {host: cleared[host] for host in ways if "removed" in cleared.get(host, {})}
        reasons = {host: cleared.get(host, living[host])["msg"] for host in ways if host not in nodes}
        changed = (self._task.check_mode or not dry_run) and any(
            node["removed"] or node["programs"] for node in nodes.values()
        )
        result = results.answered(nodes, reasons, ways, changed=changed)
        playbook_screen.say(
            _said(host, node, dry_run) for host, node in nodes.items() if node["removed"] or node["programs"]
        )
        playbook_screen.problems(result["problems"])
        if self._task.diff:
            gone = [
                plain_text.plain("%s: %s" % (host, run["run_id"])) + "\n"
                for host, node in nodes.items()
                for run in node["removed"]
            ]
            result["diff"] = {"before": "".join(gone), "after": ""}
        return results.left_to_role(result, arguments)


def _said(host: str, node: dict[str, Any], dry_run: bool) -> str:
    runs, programs = node["removed"], node["programs"]
    taken = job_lines.size(sum(entry["bytes"] for entry in [*runs, *programs]))
    verb = "would be" if dry_run else "were"
    return "%s: %d runs and %d sets of programs %s removed, %s" % (host, len(runs), len(programs), verb, taken)
