# SPDX-License-Identifier: GPL-3.0-or-later
"""Report the state of a run in a Kubernetes cluster, or show its output; once per play."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import ending, standing, word
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table, verdict_text
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import in_pods, play_rules, request_of, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import cluster_screen, playbook_screen

Found = dict[str, Any]


class ActionModule(ActionBase):
    """Run once per play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> Found:
        """Return the state of the run; fail with ``problems`` if it is unknown."""
        super().run(tmp, task_vars)
        hosts = list(play_rules.require(self._task, task_vars))
        if not play_rules.is_meant(self._task, task_vars):
            return dict(play_rules.NOT_MEANT)
        given = {in_pods.FULL.get(name, name): value for name, value in self._task.args.items()}
        arguments = request_of.arguments_of(given)
        playbook_screen.refuse(_refusals(arguments))
        cluster = in_pods.reach(arguments)
        found: Found = {"changed": False, "namespace": cluster.namespace, "problems": []}
        try:
            found.update(_asked(cluster, arguments))
        except Refused as refused:
            found.update(word.failed(refused.problem))
        playbook_screen.problems(found["problems"])
        return results.judged(found, found["problems"], arguments, hosts)


def _asked(cluster: Cluster, arguments: Found) -> Found:
    """
    Query one run.

    Raises:
        Refused: If it does not exist, or the server refuses or cannot be reached.
    """
    named = str(arguments.get("run_id") or "")
    run_id = named or ending.latest(cluster)
    if not run_id:
        raise Refused("RUN_UNKNOWN", "no run is in namespace %s" % cluster.namespace)
    stands = standing.of(cluster, run_id)
    if stands.job is None and not stands.pods:
        raise Refused("RUN_UNKNOWN", "run %s is not in namespace %s" % (run_id, cluster.namespace))
    found: Found = {"run_id": run_id, "job": names.name(run_id), "status": stands.status, "cause": stands.cause}
    found.update(began=stands.began, ended=stands.ended, nodes=dict(stands.nodes))
    if boolean(arguments.get("output") or False):
        return {**found, **_output(cluster, run_id, arguments)}
    _show(cluster, found, stands)
    return found


def _show(cluster: Cluster, found: Found, stands: standing.Standing) -> None:
    """Show the verdict, then one line per node."""
    end = stands.ended or time.time()
    about = {
        "status": stands.status,
        "cause": stands.cause,
        "duration_seconds": end - stands.began if stands.began else None,
        "exit_code": codes.exit_code([stands.problem]) if stands.problem else None,
    }
    playbook_screen.say([verdict_text.whole(about)])
    playbook_screen.tell("run", found["run_id"])
    playbook_screen.tell("job", "%s in namespace %s" % (found["job"], cluster.namespace))
    playbook_screen.say(status_table.lines([{"host": host, **node} for host, node in stands.nodes.items()]))


def _output(cluster: Cluster, run_id: str, arguments: Found) -> Found:
    """Show the output of a run, and follow it on request; no order reaches it."""
    follow = bool(arguments.get("follow"))
    screen = cluster_screen.ClusterScreen(arguments, True, request_of.chosen(arguments))
    result = in_pods.Player(cluster, run_id, screen).read(follow)
    if follow:
        screen.end(result)
    # The user asked for output, not for how the run ended.
    return {"problems": [entry for entry in result["problems"] if entry["code"] in ("SCHEDULER_UNREACHABLE", "USAGE")]}


def _refusals(arguments: Found) -> list[codes.Problem]:
    if arguments.get("since") or arguments.get("lines"):
        message = "of a run in a cluster all output is shown, with neither madctl_since nor madctl_lines"
        return [codes.problem("USAGE", None, message, "leave them out")]
    return []
