# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove runs that have ended from a Kubernetes cluster; once per play."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import ending, standing, word
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import in_pods, play_rules, request_of, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_DAY_SECONDS = 86400.0


class ActionModule(ActionBase):
    """Run once per play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the ``runs`` that were removed; fail with ``problems`` if any remains."""
        super().run(tmp, task_vars)
        hosts = list(play_rules.require(self._task, task_vars))
        if not play_rules.is_meant(self._task, task_vars):
            return dict(play_rules.NOT_MEANT)
        given = {in_pods.FULL.get(name, name): value for name, value in self._task.args.items()}
        arguments = request_of.arguments_of(given)
        is_dry = bool(self._task.check_mode or arguments.get("dry_run"))
        cluster = in_pods.reach(arguments)
        found: dict[str, Any] = {"changed": False, "runs": [], "problems": []}
        try:
            for run_id in _due(cluster, arguments):
                _remove(cluster, run_id, is_dry, found)
        except Refused as refused:
            found.update(word.failed(refused.problem))
        if not found["runs"] and not found["problems"]:
            playbook_screen.tell("gc", "there is nothing to remove")
        if self._task.diff and found["runs"]:
            before = "".join("%s\n" % run_id for run_id in found["runs"])
            found["diff"] = {"before_header": "runs", "after_header": "nothing", "before": before, "after": ""}
        playbook_screen.problems(found["problems"])
        return results.judged(found, found["problems"], arguments, hosts)


def _due(cluster: Cluster, arguments: dict[str, Any]) -> list[str]:
    """
    Return the runs to remove.

    Raises:
        Refused: If the named run is still running, or the server does not answer that.
    """
    named = str(arguments.get("run_id") or "")
    if not named:
        days = arguments.get("days", BY_NAME["days"].default)
        return [one.run_id for one in ending.old(cluster, days * _DAY_SECONDS)]
    stands = standing.of(cluster, named)
    if (stands.job is not None or stands.pods) and ending.left(stands) is not None:
        raise Refused("USAGE", "run %s is %s" % (named, stands.status), "stop it: madctl stop %s" % named)
    return [named] if ending.would(cluster, named, True) else []


def _remove(cluster: Cluster, run_id: str, is_dry: bool, found: dict[str, Any]) -> None:
    problem: codes.Problem | None = None
    if not is_dry:
        problem = ending.remove(cluster, run_id).problem
    if problem:
        found["problems"].append(problem)
        return
    found["changed"] = True
    found["runs"].append(run_id)
    playbook_screen.tell("gc", "run %s %s" % (run_id, "would be removed" if is_dry else "is removed"))
