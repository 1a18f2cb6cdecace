# SPDX-License-Identifier: GPL-3.0-or-later
"""
Draft the objects of a run in a Kubernetes cluster, once per play, unless the run already exists.

This action creates nothing, and refuses whatever can be refused before the objects are created. The result contains the
run's Secret, so its task has no_log, which would also hide a failure: the refusal is part of the result, and the next
task fails with it.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory, node_answers
from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import drafting, manifests
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._request import run_ids
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import in_pods, play_rules, request_of
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import cluster_screen, playbook_screen

_COLLECTION, _OLDEST = "kubernetes.core", 5
_INSTALL = "ansible-galaxy collection install %s" % _COLLECTION
_CREATING = ("submitted", "checked")
# Only that collection obeys these variables: a run would be created in one cluster and followed in another.
_FOREIGN = ("HOST", "KUBECONFIG", "CONTEXT", "API_KEY", "USERNAME", "PASSWORD", "CERT_FILE", "IMPERSONATE_USER")
_TEXTS = ("refusal", "run_id", "difference")
_NOTHING: dict[str, Any] = {
    "changed": False,
    "is_new": False,
    "is_dry": False,
    "refusal": "",
    "run_id": "",
    "difference": "",
}


class ActionModule(ActionBase):
    """Run once per play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the objects to create, or in ``refusal`` why the run cannot be created."""
        super().run(tmp, task_vars)
        try:
            play_rules.require(self._task, task_vars)
            if not play_rules.is_meant(self._task, task_vars):
                return {**_NOTHING, **play_rules.NOT_MEANT}
            return {**_NOTHING, **self._drafted()}
        except AnsibleActionFail as error:
            return {**_NOTHING, "refusal": str(error)}
        except Refused as refused:
            return {**_NOTHING, "refusal": playbook_screen.message([refused.problem])}

    def _drafted(self) -> dict[str, Any]:
        given = {in_pods.FULL.get(name, name): value for name, value in self._task.args.items()}
        state, run_id = given.get("state") or _CREATING[0], str(given.get("run_id") or "")
        if run_id and not node_answers.is_run_id(run_id):
            playbook_screen.refuse([codes.problem("USAGE", None, "%r is not the ID of a run" % run_id)])
        if state not in _CREATING:
            return {"run_id": run_id}
        playbook_screen.refuse(_missing())
        arguments = _arguments(given)
        if state == _CREATING[0] and not arguments.get("work"):
            playbook_screen.refuse([codes.problem("WORK_MISSING", None, "there is nothing to run", "set madctl_work")])
        is_dry, run_id = bool(self._task.check_mode or arguments.get("dry_run")), run_id or run_ids.new()
        found = {"run_id": run_id, "is_dry": is_dry}
        drafted = drafting.draft(
            arguments,
            run_id,
            job_directory.ONLY_CHECK if state == "checked" else None,
            BY_NAME["master_port"].default,
        )
        playbook_screen.refuse(drafting.problems(drafted))
        cluster = in_pods.reach(arguments)
        if is_there(cluster, run_id, arguments):
            return found
        objects = drafted._replace(asked={**drafted.asked, "k8s_namespace": cluster.namespace}).objects()
        return {**found, "is_new": True, "objects": objects, "difference": _shown(objects)}


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Parse the arguments that belong to a launch."""
    filled = request_of.read(given, {})
    contexts = {"additional_context": list(filled["additional_context"])}
    found = {name: value for name, value in {**filled, **contexts}.items() if name in BY_NAME and name in given}
    # Pods take longer to start than existing nodes; a role cannot express that the user chose nothing.
    is_chosen = found.get("start_timeout") != BY_NAME["start_timeout"].default
    return found if is_chosen else {**found, "start_timeout": None}


def is_there(cluster: Cluster, run_id: str, asked: dict[str, Any]) -> bool:
    """
    Return whether a run already exists.

    Raises:
        Refused: If only a part of it exists, or the server does not answer that.
    """
    called = names.name(run_id)
    if cluster.get(clusters.JOB, called) is not None:
        return True
    if cluster.get(clusters.SECRET, called) is not None:
        message = "run %s has a Secret and no Job: its creation was interrupted" % run_id
        raise Refused("SCHEDULER_REFUSED", message, "remove it: %s" % cluster_screen.command("gc", asked, run_id))
    return False


def _missing() -> list[codes.Problem]:
    """Find what prevents this machine from creating the objects."""
    foreign = ["K8S_AUTH_" + name for name in _FOREIGN if os.environ.get("K8S_AUTH_" + name)]
    if foreign:
        message = "%s is set in the environment, by which no run can be followed" % foreign[0]
        return [codes.problem("USAGE", None, message, "unset it, and name the cluster with --kubeconfig PATH")]
    try:
        found = importlib.util.find_spec("ansible_collections." + _COLLECTION)
    except ImportError:
        found = None
    if found is None:
        message = "the collection %s is not installed" % _COLLECTION
        return [codes.problem("SCHEDULER_MISSING", None, message, _INSTALL)]
    version = _version(list(found.submodule_search_locations or ()))
    if version and int(version.partition(".")[0]) < _OLDEST:
        message = "the collection %s is of version %s, and %d is needed" % (_COLLECTION, version, _OLDEST)
        return [codes.problem("SCHEDULER_MISSING", None, message, "%s --upgrade" % _INSTALL)]
    return []


def _version(places: list[str]) -> str:
    """Return the version of an installed collection; empty if it is not recorded."""
    for place in places:
        path = Path(place) / "MANIFEST.json"
        if path.is_file():
            return str(json.loads(path.read_text(encoding="utf-8"))["collection_info"]["version"])
    return ""


def _shown(objects: list[manifests.Manifest]) -> str:
    """Format objects for people: without the Secret, and with the sizes of programs in place of their contents."""
    shown = []
    for one in objects:
        if one["kind"] == clusters.CONFIG_MAP:
            texts = {name: text if name == names.ABOUT else _size(text) for name, text in one.get("data", {}).items()}
            one = {**one, "data": texts, "binaryData": {name: _size(text) for name, text in one["binaryData"].items()}}
        if one["kind"] != clusters.SECRET:
            shown.append(one)
    text: str = yaml.safe_dump_all(json.loads(json.dumps(shown)), sort_keys=False)
    return text


def _size(text: str) -> str:
    return "(%d characters)" % len(text)
