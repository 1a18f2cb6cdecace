# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a run on all nodes at once, and learn of each whether anything is left; once a play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils import _codes
from ansible_collections.madctl.multinode.plugins.plugin_utils import _asking, _direct, _following

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
        request = {
            "run_id": str(arguments["run_id"]),
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
        if stuck:
            problems = result["problems"] + stuck
            result.update(failed=True, problems=problems, msg="\n".join(map(_codes.line, problems)))
        return result
