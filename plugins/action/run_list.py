# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask all nodes of the play which runs they hold, once a play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.plugin_utils import _asking, _direct, _following

_MODULES = _direct.parts("_attic")
_SECONDS = 25.0


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes`` with their ``runs`` by host, and ``problems`` of nodes that did not answer."""
        super().run(tmp, task_vars)
        request = {"run_dir": _direct.plain(self._task.args).get("run_dir")}
        reach = _asking.ways(self._play_context, task_vars)
        answers = _asking.ask(reach, _MODULES, "survey", lambda _: request, _SECONDS)
        nodes = {host: answers[host] for host in reach if "runs" in answers[host]}
        reasons = {host: answers[host]["msg"] for host in reach if host not in nodes}
        return _following.answered(nodes, reasons, changed=False)
