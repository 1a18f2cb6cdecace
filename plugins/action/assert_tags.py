# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse tags that no task of a playbook has: Ansible would do nothing, and report success."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.plugin_utils._run import play_rules


class ActionModule(ActionBase):
    """Run once per play, without any node."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return nothing, or fail with one line per tag."""
        super().run(tmp, task_vars)
        play_rules.require_tags(task_vars, self._task.args["known"])
        return {"changed": False}
