# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch what a run left on its nodes: logs, events, exit records; once a play."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import fetching
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import find_run, hosting, play_rules, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes``, the directory of each here, and ``problems`` of nodes that gave nothing."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        arguments = plain(self._task.args)
        with hosting.agents_of(self, task_vars) as agents:
            ways = agents.ways
            try:
                plan = find_run.plan_of(arguments, agents)
            except find_run.Unknown as unknown:
                return results.left_to_role(unknown.result, arguments)
        size = int(arguments.get("max_size") or fetching.MAX_BYTES)
        base = os.path.abspath(arguments.get("dest") or plan["run_id"])
        if self._task.check_mode:
            playbook_screen.tell("collect", "run %s would be fetched to %s" % (plan["run_id"], base))
            absent = [node for node in plan["nodes"] if not os.path.isdir(os.path.join(base, node["host"]))]
            return {"changed": bool(absent), "nodes": {}, "problems": [], "run_id": plan["run_id"]}
        taken = [
            codes.problem("DEST_IN_USE", node["host"], "%s holds something else" % place, "name another directory")
            for node, place in ((node, os.path.join(base, node["host"])) for node in plan["nodes"])
            if not fetching.is_replaced(place, plan["run_id"])
        ]
        if taken:
            playbook_screen.problems(taken)
            refused = results.judged({"changed": False, "nodes": {}, "run_id": plan["run_id"]}, taken)
            return results.left_to_role(refused, arguments)

        requests = {node["host"]: {"run_id": plan["run_id"], "run_dir": node.get("run_dir")} for node in plan["nodes"]}
        fetched = fetching.from_all(ways, requests, base, size)
        left_out = [
            codes.problem("FILES_LEFT_OUT", host, found, "look at them on the node, as root if need be")
            for host, (_, _, found) in fetched.items()
            if found
        ]
        reasons = {host: share.failure for host, share in fetched.items() if share.failure}
        nodes = {host: os.path.join(base, host) for host in fetched if host not in reasons}
        changed = any(share.changed for share in fetched.values())
        result = results.answered(nodes, reasons, ways, changed=changed)
        playbook_screen.tell("collect", "run %s" % plan["run_id"])
        playbook_screen.say("%s: %s" % (host, place) for host, place in nodes.items())
        playbook_screen.notices(left_out)
        playbook_screen.problems(result["problems"])
        return results.left_to_role(dict(result, run_id=plan["run_id"], warning_list=left_out), arguments)
