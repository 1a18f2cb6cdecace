# SPDX-License-Identifier: Apache-2.0
"""
What a run puts into a cluster: a Secret, a ConfigMap, a headless Service and an Indexed Job, all of one name.

Every pod of the Job has an agent as its first process; the one of index 0 also conducts the run. Pure, and the same for
the same input; private to the collection.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._request import kubernetes_words
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME

Manifest = Dict[str, Any]

RUN_LABEL, INDEX_LABEL = "madctl.dev/run", "batch.kubernetes.io/job-completion-index"
CONTAINER = "run"
PROGRAM, POD, PROGRAMS, SCRIPT = "madctl_pod.py", "pod.json", "programs.zip", "script"
KEY, REQUEST = "key", "request.json"
PROGRAMS_PATH, KEY_PATH, ORDERS_PATH, SHM_PATH = "/madctl", "/madctl-key", "/madctl-orders", "/dev/shm"
# How long agents may take from the start of the first pod: images of others may still have to be pulled.
AGENTS_SECONDS = 300
# After the ranks had their grace: kill, records, and the verdict of the first pod.
_ENDING_SECONDS = 35
# The deadline of the Job is a net below the clock of the run.
_DEADLINE_SECONDS = 60
_PORTS = range(20000, 30000)
_MANAGED = {"app.kubernetes.io/managed-by": "madctl"}


class Parcel(NamedTuple):
    """What is sent to the pods of a run."""

    run_id: str
    key: bytes
    request: bytes  # JSON
    pod_program: str
    programs: bytes  # a zip
    script: Optional[Tuple[str, bytes]] = None  # its name and its bytes


def name(run_id: str) -> str:
    """Return the name of all objects of a run."""
    return "madctl-" + run_id


def port(run_id: str, master_port: Any = None) -> int:
    """Return the port that agents dial on the first pod, which is not that of the rendezvous."""
    place = int(hashlib.sha256(run_id.encode()).hexdigest(), 16) % len(_PORTS)
    found = _PORTS[place]
    return found if str(found) != str(master_port) else _PORTS[place - 1]


def objects(asked: Mapping[str, Any], parcel: Parcel, with_secret: bool = True) -> List[Manifest]:
    """
    Return the objects of a run in the order in which they are created.

    Args:
        asked: The parsed arguments of the launch, by the names of the table of options.
        with_secret: Whether the Secret is among them.
    """
    secret = [_secret(asked, parcel)] if with_secret else []
    return [*secret, _config_map(asked, parcel), _service(asked, parcel), _job(asked, parcel)]


def _labels(run_id: str) -> Dict[str, str]:
    return {**_MANAGED, RUN_LABEL: run_id}


def _object(version: str, kind: str, asked: Mapping[str, Any], parcel: Parcel) -> Manifest:
    space = {"namespace": asked["k8s_namespace"]} if asked.get("k8s_namespace") else {}
    about = {"name": name(parcel.run_id), **space, "labels": _labels(parcel.run_id)}
    return {"apiVersion": version, "kind": kind, "metadata": about}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _secret(asked: Mapping[str, Any], parcel: Parcel) -> Manifest:
    data = {KEY: _encoded(parcel.key), REQUEST: _encoded(parcel.request)}
    return {**_object("v1", "Secret", asked, parcel), "type": "Opaque", "immutable": True, "data": data}


def _config_map(asked: Mapping[str, Any], parcel: Parcel) -> Manifest:
    called = name(parcel.run_id)
    pod = {
        "job": called,
        "service": called,
        "nodes": asked["nnodes"],
        "port": port(parcel.run_id, asked.get("master_port")),
        "agents_seconds": AGENTS_SECONDS,
    }
    script = {SCRIPT: _encoded(parcel.script[1])} if parcel.script else {}
    return {
        **_object("v1", "ConfigMap", asked, parcel),
        "data": {PROGRAM: parcel.pod_program, POD: json.dumps(pod)},
        "binaryData": {PROGRAMS: _encoded(parcel.programs), **script},
    }


def _service(asked: Mapping[str, Any], parcel: Parcel) -> Manifest:
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {"batch.kubernetes.io/job-name": name(parcel.run_id)},
    }
    return {**_object("v1", "Service", asked, parcel), "spec": spec}


def _job(asked: Mapping[str, Any], parcel: Parcel) -> Manifest:
    spec: Manifest = {
        "completionMode": "Indexed",
        "completions": asked["nnodes"],
        "parallelism": asked["nnodes"],
        "backoffLimit": 0,
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": CONTAINER, "operator": "NotIn", "values": [0]},
                },
            ]
        },
    }
    deadline = _deadline(asked)
    if deadline:
        spec["activeDeadlineSeconds"] = deadline
    spec["template"] = _template(asked, parcel)
    return {**_object("batch/v1", "Job", asked, parcel), "spec": spec}


def _given(asked: Mapping[str, Any], argument: str) -> Any:
    """Return an argument, or its default."""
    found = asked.get(argument)
    return BY_NAME[argument].default if found is None else found


def _deadline(asked: Mapping[str, Any]) -> Optional[int]:
    timeout = _given(asked, "timeout")
    more = _given(asked, "start_timeout") + _given(asked, "grace") + _DEADLINE_SECONDS
    return math.ceil(timeout + more) if timeout else None


def _template(asked: Mapping[str, Any], parcel: Parcel) -> Manifest:
    # A sidecar would keep pods alive after their agents, and encrypt what ranks say to each other.
    apart = {"sidecar.istio.io/inject": "false"}
    volumes, mounts = _volumes(asked, parcel)
    container = {
        "name": CONTAINER,
        "image": asked["k8s_image"],
        "command": ["python3", "-I", "-S", "%s/%s" % (PROGRAMS_PATH, PROGRAM)],
        "env": [{"name": "MADCTL_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        **_resources(asked),
        "volumeMounts": mounts,
    }
    spec = {
        "restartPolicy": "Never",
        "subdomain": name(parcel.run_id),
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": math.ceil(_given(asked, "grace")) + _ENDING_SECONDS,
        "containers": [container],
        "volumes": volumes,
    }
    return {"metadata": {"labels": {**_labels(parcel.run_id), **apart}, "annotations": apart}, "spec": spec}


def _resources(asked: Mapping[str, Any]) -> Manifest:
    """Return what each pod has, the same as request and as limit."""
    found = {short: asked["k8s_" + short] for short in ("cpu", "memory") if asked.get("k8s_" + short)}
    if asked.get("k8s_gpus_per_node"):
        found[asked["k8s_gpu_resource"]] = str(asked["k8s_gpus_per_node"])
    found.update(kubernetes_words.pair(text) for text in asked.get("k8s_resources") or [])
    return {"resources": {"requests": found, "limits": dict(found)}} if found else {}


def _volumes(asked: Mapping[str, Any], parcel: Parcel) -> Tuple[List[Manifest], List[Manifest]]:
    """Return the volumes of a pod, and where its container sees them."""
    called = name(parcel.run_id)
    keys = [*((key, key) for key in (PROGRAM, POD, PROGRAMS)), *([(SCRIPT, parcel.script[0])] if parcel.script else [])]
    memory = {"medium": "Memory", **({"sizeLimit": asked["k8s_shm_size"]} if asked.get("k8s_shm_size") else {})}
    annotations = {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}
    volumes = [
        {
            "name": "programs",
            "configMap": {"name": called, "items": [{"key": key, "path": path} for key, path in keys]},
        },
        {"name": "key", "secret": {"secretName": called, "defaultMode": 0o400}},
        {"name": "shm", "emptyDir": memory},
        {"name": "orders", "downwardAPI": {"items": [annotations]}},
    ]
    mounts: List[Manifest] = [
        {"name": "programs", "mountPath": PROGRAMS_PATH, "readOnly": True},
        {"name": "key", "mountPath": KEY_PATH, "readOnly": True},
        {"name": "shm", "mountPath": SHM_PATH},
        {"name": "orders", "mountPath": ORDERS_PATH, "readOnly": True},
    ]
    for number, one in enumerate(map(kubernetes_words.volume, asked.get("k8s_volumes") or [])):
        claim = {"claimName": one.claim, **({"readOnly": True} if one.read_only else {})}
        volumes.append({"name": "volume-%d" % number, "persistentVolumeClaim": claim})
        read_only = {"readOnly": True} if one.read_only else {}
        mounts.append({"name": "volume-%d" % number, "mountPath": one.path, **read_only})
    return volumes, mounts
