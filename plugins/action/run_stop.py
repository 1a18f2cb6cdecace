# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a run on all nodes at once, and learn of each whether anything is left; once a play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils import _codes, _table
from ansible_collections.madctl.multinode.plugins.plugin_utils import _asking, _direct, _finding, _following, _screen

_MODULES = _direct.parts("_runs")
_GRACE_SECONDS = 45.0
# To look, to kill, and to have systemd forget the service.
_MORE_SECONDS = 40.0


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return by host what is ``left``, and ``problems`` of nodes that gave no proof."""
        super().run(tmp, task_vars)
        arguments = _direct.plain(self._task.args)
        grace = float(arguments.get("grace", _GRACE_SECONDS))
        run_id, named = arguments.get("run_id"), bool(arguments.get("run_id"))
        if not named:
            try:
                run_id = _finding.plan_of(arguments, self._play_context, task_vars)["run_id"]
            except _finding.Unknown as unknown:
                return _following.left_to_role(unknown.result, arguments)
        request = {
            "run_id": str(run_id),
            "base": arguments.get("run_dir"),
            "grace": grace,
            "dry_run": bool(self._task.check_mode),
        }
        reach = _asking.ways(self._play_context, task_vars)
        answers = _asking.ask(reach, _MODULES, "end", lambda _: request, grace + _MORE_SECONDS)
        nodes = {host: answers[host] for host in reach if "left" in answers[host]}
        silent = {host: answers[host]["msg"] for host in reach if host not in nodes}
        result = _following.answered(nodes, silent, changed=any(node["changed"] for node in nodes.values()))
        stuck = [
            _codes.problem("LEFT_BEHIND", host, "these do not end: %s" % ", ".join(node["left"]), "look at them there")
            for host, node in nodes.items()
            if node["left"]
        ]
        unknown = [
            _codes.problem("RUN_UNKNOWN", host, "it holds no run %s" % run_id, _finding.SEE)
            for host in nodes
            if not any(node["known"] for node in nodes.values())
        ]
        result = _following.judged(result, [*result["problems"], *stuck, *unknown])
        _screen.problems(result["problems"])
        empty = [host for host, node in nodes.items() if not node["left"]]
        if empty and not unknown:
            said = "would be stopped" if request["dry_run"] else "nothing is left"
            _screen.tell("stop", "run %s: %s on %s" % (run_id, said, _table.brief(empty)))
        if self._task.diff:
            result["diff"] = _difference(str(run_id), nodes)
        return _following.left_to_role(dict(result, run_id=run_id), arguments)


def _difference(run_id: str, nodes: dict[str, Any]) -> dict[str, str]:
    """Show what ends, and what is left."""
    ending = ["%s: run %s" % (host, run_id) for host, node in nodes.items() if node["changed"]]
    left = ["%s: %s" % (host, what) for host, node in nodes.items() for what in node["left"]]
    return {"before": "".join(line + "\n" for line in ending), "after": "".join(line + "\n" for line in left)}
