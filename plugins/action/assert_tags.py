# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse tags that no task of a playbook has: Ansible would do nothing, and call it a success."""

from __future__ import annotations

import os
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils import _variables
from ansible_collections.madctl.multinode.plugins.plugin_utils import _screen


class ActionModule(ActionBase):
    """Run once a play, without any node."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return nothing, or fail with a line for each tag."""
        super().run(tmp, task_vars)
        typed = [*task_vars.get("ansible_run_tags", ()), *task_vars.get("ansible_skip_tags", ())]
        found = _variables.unknown_tags(typed, self._task.args["known"])
        # In a playbook that imports ours, or beside another one, tags may be none of our business.
        playbooks = context.CLIARGS.get("args", ())
        if found and len(playbooks) == 1 and _is_ours(playbooks[0]):
            raise _screen.refusal(found)
        return {"changed": False}


def _is_ours(playbook: str) -> bool:
    directory = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../playbooks"))
    return playbook.startswith("madctl.multinode.") or os.path.dirname(os.path.realpath(playbook)) == directory
