# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a run on all nodes at once, and learn of each whether anything is left; once a play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, plain_text, wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._request import validation
from ansible_collections.madctl.multinode.plugins.module_utils._show import check_table
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import find_run, hosting, play_rules, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

# To look, to kill, and to have systemd forget the service.
_MORE_SECONDS = 40.0


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return by host what is ``left``, and ``problems`` of nodes that gave no proof."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        arguments = plain(self._task.args)
        playbook_screen.refuse(validation.judge(arguments))
        grace = float(arguments.get("grace", wire.STOP_SECONDS))
        run_id = str(arguments.get("run_id") or "")
        request = {"base": arguments.get("run_dir"), "grace": grace, "dry_run": bool(self._task.check_mode)}
        with hosting.agents_of(self, task_vars) as agents:
            return self._stop(agents, arguments, request, run_id, grace)

    def _stop(
        self, agents: Agents, arguments: dict[str, Any], request: dict[str, Any], run_id: str, grace: float
    ) -> dict[str, Any]:
        ways = agents.ways
        nodes: dict[str, Any] = {}
        silent: dict[str, str] = {}

        def end(run_id: str) -> None:
            wanted = dict(request, run_id=run_id)
            answers = agents.ask(ways, "_runs.run_state:end", lambda _: wanted, grace + _MORE_SECONDS)
            nodes.update({host: answers[host] for host in ways if "left" in answers[host]})
            silent.update({host: answers[host]["msg"] for host in ways if "left" not in answers[host]})

        if run_id:
            end(run_id)
        # Who names no run, or one that is over, may mean one that goes on: also a later start of the same run.
        if not silent and not any(node["changed"] and node["known"] for node in nodes.values()):
            try:
                found = str(find_run.plan_of(arguments, agents, alive=True)["run_id"])
            except find_run.Unknown as error:
                # Nodes that hold nothing of the named run have proved that nothing is left, all the same.
                return results.left_to_role(dict(error.result, nodes=nodes), arguments)
            if found != run_id and (not run_id or found.startswith(run_id + ".")):
                run_id = found
                end(run_id)
        result = results.answered(nodes, silent, ways, changed=any(node["changed"] for node in nodes.values()))
        stuck = [
            codes.problem("LEFT_BEHIND", host, "these do not end: %s" % ", ".join(node["left"]), "look at them there")
            for host, node in nodes.items()
            if node["left"]
        ]
        unknown = [
            codes.problem("RUN_UNKNOWN", host, "it holds no run %s" % run_id, find_run.SEE)
            for host in nodes
            if not any(node["known"] for node in nodes.values())
        ]
        result = results.judged(result, [*result["problems"], *stuck, *unknown])
        playbook_screen.problems(result["problems"])
        empty = [host for host, node in nodes.items() if not node["left"]]
        going = [host for host, node in nodes.items() if node["changed"]]
        if request["dry_run"] and not unknown:
            said = "would be stopped on %s" % check_table.brief(going) if going else "there is nothing to stop"
            playbook_screen.tell("stop", "run %s: %s" % (run_id, said))
        elif empty and not unknown:
            playbook_screen.tell("stop", "run %s: nothing is left on %s" % (run_id, check_table.brief(empty)))
        if self._task.diff:
            result["diff"] = _difference(str(run_id), nodes)
        return results.left_to_role(dict(result, run_id=run_id), arguments)


def _difference(run_id: str, nodes: dict[str, Any]) -> dict[str, str]:
    """Show what ends, and what is left."""
    ending = ["%s: run %s" % (host, run_id) for host, node in nodes.items() if node["changed"]]
    left = ["%s: %s" % (host, what) for host, node in nodes.items() for what in node["left"]]
    before, after = ("".join(plain_text.plain(line) + "\n" for line in lines) for lines in (ending, left))
    return {"before": before, "after": after}
