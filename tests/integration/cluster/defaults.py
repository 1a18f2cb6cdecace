# SPDX-License-Identifier: Apache-2.0
"""What the API server writes into an object that a user left out, as far as clients see it."""

from __future__ import annotations

import base64
from typing import Any

Object = dict[str, Any]
_GENERATED = ("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name")


def fill(plural: str, value: Object) -> None:
    """Fill in the defaults of a new object, in place; its uid is set already."""
    if plural == "jobs":
        _job(value)
    elif plural == "pods":
        pod_spec(value.setdefault("spec", {}))
    elif plural == "services":
        _service(value.setdefault("spec", {}))
    elif plural == "secrets":
        _secret(value)


def fill_changed(plural: str, before: Object, value: Object) -> None:
    """Fill in defaults where a whole object was sent to replace one, in place; what was made from its uid stays."""
    if plural == "jobs":
        own = before["spec"]["template"]["metadata"]["labels"]
        template = value.setdefault("spec", {}).setdefault("template", {}).setdefault("metadata", {})
        template["labels"] = {**(template.get("labels") or {}), **{key: own[key] for key in _GENERATED}}
        value["spec"].setdefault("selector", before["spec"]["selector"])
    fill(plural, value)


def _job(job: Object) -> None:
    meta, spec = job["metadata"], job.setdefault("spec", {})
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    if spec["completionMode"] == "NonIndexed":
        spec.setdefault("completions", 1)
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for condition in rule.get("onPodConditions") or ():
            condition.setdefault("status", "True")
    uid, prefix = meta["uid"], "batch.kubernetes.io/"
    labels = {prefix + "controller-uid": uid, prefix + "job-name": meta.get("name", ""), "controller-uid": uid}
    template = spec.setdefault("template", {})
    own = template.setdefault("metadata", {})
    own["labels"] = {**(own.get("labels") or {}), **labels, "job-name": meta.get("name", "")}
    meta.setdefault("labels", dict(own["labels"]))
    spec["selector"] = {"matchLabels": {prefix + "controller-uid": uid}}
    pod_spec(template.setdefault("spec", {}))
    job.setdefault("status", {})


def pod_spec(spec: Object) -> None:
    """Fill in the defaults of a pod."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    for container in spec.setdefault("containers", []):
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        image = container.get("image", "")
        is_latest = "@" not in image and image.rpartition("/")[2].partition(":")[2] in ("", "latest")
        container.setdefault("imagePullPolicy", "Always" if is_latest else "IfNotPresent")
        resources = container.setdefault("resources", {})
        for name, amount in (resources.get("limits") or {}).items():
            resources.setdefault("requests", {}).setdefault(name, amount)
        for variable in container.get("env") or ():
            if "fieldRef" in variable.get("valueFrom", {}):
                variable["valueFrom"]["fieldRef"].setdefault("apiVersion", "v1")
    for volume in spec.get("volumes") or ():
        for name in ("configMap", "secret", "downwardAPI", "projected"):
            if name in volume:
                volume[name].setdefault("defaultMode", 0o644)
        for item in volume.get("downwardAPI", {}).get("items") or ():
            item.get("fieldRef", {}).setdefault("apiVersion", "v1")


def _service(spec: Object) -> None:
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("clusterIP", "10.96.0.10")
    spec.setdefault("clusterIPs", [spec["clusterIP"]])


def _secret(value: Object) -> None:
    value.setdefault("type", "Opaque")
    for key, text in (value.pop("stringData", None) or {}).items():
        value.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()
