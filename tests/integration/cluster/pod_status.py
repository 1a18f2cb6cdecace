# SPDX-License-Identifier: Apache-2.0
"""The status of a pod as its kubelet reports it. Nothing here has effects."""

from __future__ import annotations

from typing import Any

from madctl.lab.spec import Host
from tests.integration.cluster.store import now

Object = dict[str, Any]


def condition(kind: str, value: bool, reason: str = "", message: str = "") -> Object:
    """Return a condition of a pod."""
    found: Object = {"type": kind, "status": "True" if value else "False", "lastProbeTime": None}
    found["lastTransitionTime"] = now()
    return found | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def with_condition(status: Object, one: Object) -> Object:
    """Return a status with a condition put in, or put in place of the one of its type."""
    others = [other for other in status.get("conditions") or () if other["type"] != one["type"]]
    return {**status, "conditions": [*others, one]}


def kept(pod: Object, status: Object) -> Object:
    """Return a new status with the conditions of before that it does not name; the same ones keep their time."""
    before = {one["type"]: one for one in pod["status"].get("conditions") or ()}
    for one in status.get("conditions") or ():
        old = before.get(one["type"])
        same = old is not None and all(old.get(key) == one.get(key) for key in ("status", "reason", "message"))
        before[one["type"]] = old if same else one
    return {**status, "conditions": list(before.values())}


def waiting(pod: Object, reason: str, message: str) -> Object:
    """Return the status of a pod on a node whose container has not started."""
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    why = f"containers with unready status: [{pod['spec']['containers'][0]['name']}]"
    conditions = [condition("Initialized", True)]
    conditions += [condition(kind, False, "ContainersNotReady", why) for kind in ("Ready", "ContainersReady")]
    return {"phase": "Pending", "conditions": conditions, "containerStatuses": [_container(pod, state, False)]}


def running(pod: Object, host: Host, started: str) -> Object:
    """Return the status of a pod whose container runs."""
    conditions = [condition(kind, True) for kind in ("Initialized", "Ready", "ContainersReady")]
    container = _container(pod, {"running": {"startedAt": started}}, True)
    return {"phase": "Running", "conditions": conditions, "containerStatuses": [container], **_addresses(host, started)}


def ended(pod: Object, host: Host, started: str, code: int, reason: str, message: str) -> Object:
    """Return the status of a pod whose container has ended."""
    end = {"exitCode": code, "reason": reason, **({"message": message} if message else {})}
    end |= {"startedAt": started, "finishedAt": now(), "containerID": f"containerd://{pod['metadata']['uid']}"}
    why = "PodCompleted" if code == 0 else "PodFailed"
    conditions = [condition(kind, False, why) for kind in ("Ready", "ContainersReady")]
    return {
        "phase": "Failed" if code else "Succeeded",
        "conditions": conditions,
        "containerStatuses": [_container(pod, {"terminated": end}, False)],
        **_addresses(host, started),
    }


def evicted(status: Object, why: str) -> Object:
    """Return the status of a pod that its kubelet has evicted."""
    return {**status, "phase": "Failed", "reason": "Evicted", "message": why}


def never_started(pod: Object) -> Object:
    """Return the status of a pod that was deleted before its container started."""
    return {
        "phase": "Failed",
        "conditions": [condition(kind, False, "PodFailed") for kind in ("Ready", "ContainersReady")],
    }


def _addresses(host: Host, started: str) -> Object:
    addresses = {"podIP": host.data_address, "podIPs": [{"ip": host.data_address}]}
    node = {"hostIP": host.management_address, "hostIPs": [{"ip": host.management_address}]}
    return {**addresses, **node, "startTime": started}


def _container(pod: Object, state: Object, is_ready: bool) -> Object:
    container = pod["spec"]["containers"][0]
    names = {"name": container["name"], "image": container.get("image", ""), "imageID": ""}
    if "waiting" not in state:
        names |= {"imageID": "sha256:0", "containerID": f"containerd://{pod['metadata']['uid']}"}
    return {**names, "state": state, "lastState": {}, "ready": is_ready, "started": is_ready, "restartCount": 0}
