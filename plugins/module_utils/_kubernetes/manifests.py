# SPDX-License-Identifier: Apache-2.0
"""
The objects of a run in a cluster: a Secret, a ConfigMap, a headless Service and an Indexed Job, all with one name.

Every pod of the Job has an agent as its first process; the one of index 0 also conducts the run. Pure and
deterministic; private to the collection.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import posixpath
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import pod_volumes
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.parcel import SCRIPT, Parcel
from ansible_collections.madctl.multinode.plugins.module_utils._request import kubernetes_words
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME

Arguments = Mapping[str, Any]
Manifest = Dict[str, Any]

_MANAGED = {names.MANAGER_LABEL: names.MANAGER}
# How long agents may take from the start of the first pod: others may still have to pull the image.
_AGENTS_SECONDS = 300
# After the ranks' grace: for killing, records, and the verdict of the first pod.
_ENDING_SECONDS = 35
# The deadline of the Job is a safety net for the run's own time limit.
_DEADLINE_SECONDS = 60
_PORTS = range(20000, 30000)
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


def port(run_id: str, master_port: Any = None) -> int:
    """Return the port of the first pod that agents dial, which is not the port of the rendezvous."""
    # On the host network, two runs may share a node.
    place = int(hashlib.sha256(run_id.encode()).hexdigest(), 16) % len(_PORTS)
    found = _PORTS[place]
    return found if str(found) != str(master_port) else _PORTS[place - 1]


def agents_seconds(asked: Arguments) -> float:
    """Return how long pods may take to start after the first one, whose GPUs are idle in the meantime."""
    return float(asked.get("start_timeout") or _AGENTS_SECONDS)


def objects(asked: Arguments, parcel: Parcel, with_secret: bool = True) -> List[Manifest]:
    """
    Return the objects of a run in the order in which they are created.

    With ``k8s_run_as_user`` its pods pass the Pod Security level restricted, otherwise baseline, in which the image may
    run as root and keeps root's capabilities. On the host network they pass neither. An image whose own user is not
    root needs ``k8s_run_as_user``, because no other user could read the key.

    Args:
        asked: The parsed arguments of the launch, by the names of the table of options.
        with_secret: Whether to include the Secret.
    """
    secret = [_secret(asked, parcel)] if with_secret else []
    code = [_part(asked, parcel, number) for number in range(len(_parts(parcel)))]
    return [*secret, _config_map(asked, parcel), *code, _service(asked, parcel), _job(asked, parcel)]


def _parts(parcel: Parcel) -> Tuple[bytes, ...]:
    return parcel.code.parts if parcel.code else ()


def _labels(run_id: str) -> Dict[str, str]:
    return {**_MANAGED, names.RUN_LABEL: run_id}


def _object(version: str, kind: str, asked: Arguments, parcel: Parcel) -> Manifest:
    space = {"namespace": asked["k8s_namespace"]} if asked.get("k8s_namespace") else {}
    about = {"name": names.name(parcel.run_id), **space, "labels": _labels(parcel.run_id)}
    return {"apiVersion": version, "kind": kind, "metadata": about}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _secret(asked: Arguments, parcel: Parcel) -> Manifest:
    data = {names.KEY: _encoded(parcel.key), names.REQUEST: _encoded(parcel.request)}
    return {**_object("v1", "Secret", asked, parcel), "type": "Opaque", "immutable": True, "data": data}


def _config_map(asked: Arguments, parcel: Parcel) -> Manifest:
    called = names.name(parcel.run_id)
    pod = {
        "job": called,
        "service": called,
        "nodes": asked["nnodes"],
        "port": port(parcel.run_id, asked.get("master_port")),
        "agents_seconds": agents_seconds(asked),
        **({"logs": posixpath.join(asked["run_root"], parcel.run_id)} if asked.get("run_root") else {}),
    }
    script = {SCRIPT: _encoded(parcel.script[1])} if parcel.script else {}
    return {
        **_object("v1", "ConfigMap", asked, parcel),
        "data": {names.BOOT: parcel.pod_program, names.ABOUT: json.dumps(pod)},
        "binaryData": {names.PARCEL: _encoded(parcel.programs), **script},
    }


def _part(asked: Arguments, parcel: Parcel, number: int) -> Manifest:
    found = _object("v1", "ConfigMap", asked, parcel)
    found["metadata"]["name"] = names.code_name(parcel.run_id, number)
    return {**found, "immutable": True, "binaryData": {names.part(number): _encoded(_parts(parcel)[number])}}


def _service(asked: Arguments, parcel: Parcel) -> Manifest:
    spec = {
        "clusterIP": "None",
        # Agents look for the first pod before it is ready.
        "publishNotReadyAddresses": True,
        "selector": {names.JOB_LABEL: names.name(parcel.run_id)},
    }
    return {**_object("v1", "Service", asked, parcel), "spec": spec}


# -- the Job ------------------------------------------------------------------------------------------------


def _job(asked: Arguments, parcel: Parcel) -> Manifest:
    job = _object("batch/v1", "Job", asked, parcel)
    deadline = _deadline(asked)
    spec: Manifest = {"completionMode": "Indexed", "completions": asked["nnodes"], "parallelism": asked["nnodes"]}
    if asked.get("k8s_queue"):
        job["metadata"]["labels"][_QUEUE_LABEL] = asked["k8s_queue"]
        # Kueue's webhook would do so; without it, a job that should wait for its turn must not start.
        spec["suspend"] = True
    # A pod that replaced another one would not find a rendezvous.
    spec.update(backoffLimit=0, podFailurePolicy={"rules": _failure_rules()})
    if deadline:
        spec["activeDeadlineSeconds"] = deadline
    if asked.get("k8s_ttl"):
        spec["ttlSecondsAfterFinished"] = math.ceil(asked["k8s_ttl"])
    return {**job, "spec": {**spec, "template": _template(asked, parcel)}}


def _failure_rules() -> List[Manifest]:
    """Return rules that change nothing without a back-off limit, but make the Job name the pod that failed, and why."""
    return [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": names.CONTAINER, "operator": "NotIn", "values": [0]}},
    ]


def _given(asked: Arguments, argument: str) -> Any:
    """Return an argument, or its default."""
    found = asked.get(argument)
    return BY_NAME[argument].default if found is None else found


def _deadline(asked: Arguments) -> Optional[int]:
    timeout = _given(asked, "timeout")
    more = agents_seconds(asked) + _given(asked, "start_timeout") + _given(asked, "grace") + _DEADLINE_SECONDS
    return math.ceil(timeout + more) if timeout else None


def _template(asked: Arguments, parcel: Parcel) -> Manifest:
    # A sidecar would outlive the agent beside it, and get between ranks.
    apart = {"sidecar.istio.io/inject": "false"}
    volumes, mounts = pod_volumes.of(asked, parcel)
    policy = {"imagePullPolicy": asked["k8s_image_pull_policy"]} if asked.get("k8s_image_pull_policy") else {}
    container = {
        "name": names.CONTAINER,
        "image": asked["k8s_image"],
        **policy,
        "command": ["python3", "-I", "-S", "%s/%s" % (names.PROGRAMS, names.BOOT)],
        "env": [{"name": names.NODE, "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        **_resources(asked),
        **_container_rights(asked),
        "volumeMounts": mounts,
    }
    spec = {
        "restartPolicy": "Never",
        "subdomain": names.name(parcel.run_id),
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": math.ceil(_given(asked, "grace")) + _ENDING_SECONDS,
        **_placement(asked),
        **_identity(asked),
        "containers": [container],
        "volumes": volumes,
    }
    return {"metadata": {"labels": {**_labels(parcel.run_id), **apart}, "annotations": apart}, "spec": spec}


def _placement(asked: Arguments) -> Manifest:
    """Return where pods may run and on which network."""
    found: Manifest = {}
    if asked.get("k8s_host_network"):
        # Otherwise the name of the first pod would be resolved where only the names of nodes are known.
        found.update(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    if asked.get("k8s_scheduler_name"):
        found["schedulerName"] = asked["k8s_scheduler_name"]
    if asked.get("k8s_priority_class"):
        found["priorityClassName"] = asked["k8s_priority_class"]
    if asked.get("k8s_node_selector"):
        found["nodeSelector"] = dict(map(kubernetes_words.pair, asked["k8s_node_selector"]))
    if asked.get("k8s_tolerations"):
        found["tolerations"] = [_toleration(kubernetes_words.toleration(one)) for one in asked["k8s_tolerations"]]
    if asked.get("k8s_exclusive"):
        others = {"labelSelector": {"matchLabels": _MANAGED}, "topologyKey": "kubernetes.io/hostname"}
        found["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [others]}}
    return found


def _toleration(one: kubernetes_words.Toleration) -> Manifest:
    effect = {"effect": one.effect} if one.effect else {}
    if one.value is None:
        return {"key": one.key, "operator": "Exists", **effect}
    return {"key": one.key, "operator": "Equal", "value": one.value, **effect}


def _identity(asked: Arguments) -> Manifest:
    """Return the identity of a pod: for the image registry, for the cluster, and for the kernel."""
    found: Manifest = {}
    if asked.get("k8s_image_pull_secrets"):
        found["imagePullSecrets"] = [{"name": one} for one in asked["k8s_image_pull_secrets"]]
    if asked.get("k8s_service_account"):
        found["serviceAccountName"] = asked["k8s_service_account"]
    user = asked.get("k8s_run_as_user")
    if user:
        found["securityContext"] = {
            "runAsNonRoot": True,
            "runAsUser": user,
            "fsGroup": user,
            # Files of a large volume are not visited if its top directory already belongs to the group.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    return found


def _container_rights(asked: Arguments) -> Manifest:
    """Return the restrictions that only a user other than root can work with."""
    if not asked.get("k8s_run_as_user"):
        return {}
    return {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}


def _resources(asked: Arguments) -> Manifest:
    """Return the resources of each pod, the same as request and as limit."""
    found = {short: asked["k8s_" + short] for short in ("cpu", "memory") if asked.get("k8s_" + short)}
    if asked.get("k8s_gpus_per_node"):
        found[asked["k8s_gpu_resource"]] = str(asked["k8s_gpus_per_node"])
    found.update(kubernetes_words.pair(text) for text in asked.get("k8s_resources") or [])
    return {"resources": {"requests": found, "limits": dict(found)}} if found else {}
