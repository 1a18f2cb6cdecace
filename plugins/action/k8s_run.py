# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a run in a Kubernetes cluster to its end, or end or remove it; once per play."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import creation, ending, orders
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME
from ansible_collections.madctl.multinode.plugins.module_utils._show import check_table, masking, sentences
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import in_pods, play_rules, request_of, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import (
    cluster_screen,
    job_screen,
    playbook_screen,
)

_STATES = ("submitted", "checked", "stopped", "absent")
Found = dict[str, Any]


class ActionModule(ActionBase):
    """Run once per play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> Found:
        """Return how the run ended; fail with ``problems``, the first failure first."""
        super().run(tmp, task_vars)
        hosts = list(play_rules.require(self._task, task_vars))
        if not play_rules.is_meant(self._task, task_vars):
            return dict(play_rules.NOT_MEANT)
        given = {in_pods.FULL.get(name, name): value for name, value in self._task.args.items()}
        if given.get("refusal"):
            raise _failure(str(given["refusal"]))
        arguments = request_of.arguments_of(given)
        state = str(given.get("state") or _STATES[0])
        playbook_screen.refuse(_refusals(state))
        is_dry = bool(self._task.check_mode or arguments.get("dry_run"))
        cluster = in_pods.reach(arguments)
        try:
            if state in ("submitted", "checked"):
                found = self._followed(cluster, arguments, is_dry)
            else:
                found = _ended(cluster, arguments, is_dry, state)
        except Refused as refused:
            found = _failed({"run_id": arguments.get("run_id"), "changed": False, "state": None}, refused.problem)
        return results.judged(found, found["problems"], arguments, hosts)

    def _followed(self, cluster: Cluster, arguments: Found, is_dry: bool) -> Found:
        run_id, is_new = str(arguments["run_id"]), boolean(arguments.get("is_new") or False)
        found = {"changed": is_new, "run_id": run_id, "job": names.name(run_id), "state": None}
        found.update(namespace=cluster.namespace, problems=[], exit_code=0)
        failure = str(arguments.get("failure") or "") if is_new else ""
        if failure:
            if not is_dry and creation.is_ours(failure):
                orders.delete(cluster, run_id)
            return _failed({**found, "changed": False}, creation.refusal(failure))
        if self._task.diff and is_new:
            found["diff"] = _difference(run_id, arguments.get("difference") or "")
        if is_dry:
            playbook_screen.tell("queue", "run %s would be created in namespace %s" % (run_id, cluster.namespace))
            return found
        _tell(found, arguments.get("name"), is_new)
        if boolean(arguments.get("detach") or False):
            return {**found, "state": "submitted", "detached": True}
        return {**found, **self._played(cluster, arguments, run_id)}

    def _played(self, cluster: Cluster, arguments: Found, run_id: str) -> Found:
        named = ((name, raw_words.unpack(value)) for name, value in (arguments.get("env") or {}).items())
        screen = cluster_screen.ClusterScreen(
            arguments, chosen=request_of.chosen(arguments), secrets=masking.values(named)
        )
        stuck = arguments.get("start_timeout") or BY_NAME["start_timeout"].default
        result = in_pods.Player(cluster, run_id, screen).play(stuck)
        result["problems"] = job_screen.pointed(result["problems"], screen.logs_of)
        if arguments.get("state") == "checked" and not result.get("detached"):
            _show_checks(result)
            # The results of a check have been shown, and its run is not needed any more.
            orders.delete(cluster, run_id)
        else:
            screen.end(result)
        if result.get("detached"):
            return {**result, "state": "submitted"}
        return {**result, "state": "failed" if result["problems"] else "succeeded"}


def _failure(message: str) -> AnsibleActionFail:
    error = AnsibleActionFail(message)
    error.result.pop("exception", None)
    return error


def _failed(found: Found, problem: codes.Problem) -> Found:
    playbook_screen.problems([problem])
    return {**found, "problems": [problem], "exit_code": int(codes.exit_code([problem]))}


def _tell(found: Found, name: str | None, is_new: bool) -> None:
    playbook_screen.tell(*sentences.called(found["run_id"], name))
    before = "" if is_new else "before, "
    playbook_screen.tell("queue", "created %sas job %s in namespace %s" % (before, found["job"], found["namespace"]))


def _show_checks(result: Found) -> None:
    """Show the results of pods in the same way as a check of hosts does."""
    playbook_screen.notices(result.get("warning_list") or [])
    if result.get("checks"):
        playbook_screen.say(check_table.lines(result["checks"]))
    playbook_screen.problems(result["problems"])


def _difference(run_id: str, after: str) -> dict[str, str]:
    return {"before_header": "nothing", "after_header": "run %s" % run_id, "before": "", "after": after}


def _ended(cluster: Cluster, arguments: Found, is_dry: bool, state: str) -> Found:
    """Stop a run, and remove it on request."""
    run_id = str(arguments.get("run_id") or ending.latest(cluster) or "")
    found = {"changed": False, "run_id": run_id, "state": state, "problems": [], "exit_code": 0}
    if not run_id:
        message = "no run is in namespace %s" % cluster.namespace
        return _failed({**found, "state": None}, codes.problem("RUN_UNKNOWN", None, message))
    what = ending.would(cluster, run_id, state == "absent")
    if not what or is_dry:
        how = "would be %s" % ("removed" if state == "absent" else "stopped") if what else "is over"
        playbook_screen.tell("stop", "run %s %s" % (run_id, how))
        return {**found, "changed": bool(what)}
    ended = ending.stop(cluster, run_id)
    if ended.problem is None and state == "absent":
        ended = ending.remove(cluster, run_id)
    if ended.problem:
        return _failed({**found, "changed": True, "state": None}, ended.problem)
    playbook_screen.tell("stop", "run %s is %s" % (run_id, "removed" if state == "absent" else "over"))
    return {**found, "changed": True}


def _refusals(state: str) -> list[codes.Problem]:
    if state in _STATES:
        return []
    message = "state takes %s, not %r" % (" or ".join(_STATES), state)
    return [codes.problem("USAGE", None, message, "set one of these")]
