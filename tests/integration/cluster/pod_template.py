# SPDX-License-Identifier: Apache-2.0
"""The pod that the Job controller makes from a Job's template."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

Object = dict[str, Any]
INDEX = "batch.kubernetes.io/job-completion-index"
TRACKING = "batch.kubernetes.io/job-tracking"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def pod(job: Object, index: int, chance: Random | Any) -> Object:
    """Return the pod of an index: names, labels, owner and environment as the controller gives them."""
    meta, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
    own = template.get("metadata") or {}
    suffix = "".join(chance.choices(_LETTERS, k=5))
    is_indexed = job["spec"]["completionMode"] == "Indexed"
    name = f"{meta['name']}-{index}" if is_indexed else meta["name"]
    labels, annotations = own.get("labels") or {}, own.get("annotations") or {}
    spec = template["spec"]
    if is_indexed:
        labels, annotations = {**labels, INDEX: str(index)}, {**annotations, INDEX: str(index)}
        spec.setdefault("hostname", name)
        path = {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}
        for container in spec["containers"]:
            container.setdefault("env", []).append({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": path}})
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-{suffix}",
            "generateName": f"{name}-",
            "namespace": meta["namespace"],
            "labels": labels,
            **({"annotations": annotations} if annotations else {}),
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
            "finalizers": [TRACKING],
        },
        "spec": spec,
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }
