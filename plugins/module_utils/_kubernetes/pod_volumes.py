# SPDX-License-Identifier: Apache-2.0
"""The volumes of a pod: our programs, key, orders, code; memory; the user's volumes. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.parcel import SCRIPT, Parcel
from ansible_collections.madctl.multinode.plugins.module_utils._request import kubernetes_words

Arguments = Mapping[str, Any]
Manifest = Dict[str, Any]

SHM = "/dev/shm"


def of(asked: Arguments, parcel: Parcel) -> Tuple[List[Manifest], List[Manifest]]:
    """Return the volumes of a pod, and where its container mounts them."""
    called = names.name(parcel.run_id)
    paths = {
        **{key: key for key in (names.BOOT, names.ABOUT, names.PARCEL)},
        **({SCRIPT: parcel.script[0]} if parcel.script else {}),
    }
    memory = {"medium": "Memory", **({"sizeLimit": asked["k8s_shm_size"]} if asked.get("k8s_shm_size") else {})}
    annotations = {"path": names.ANNOTATIONS, "fieldRef": {"fieldPath": "metadata.annotations"}}
    items = [{"key": key, "path": path} for key, path in paths.items()]
    # A user other than root can read it only by its group.
    mode = 0o440 if asked.get("k8s_run_as_user") else 0o400
    volumes: List[Manifest] = [
        {"name": "programs", "configMap": {"name": called, "items": items}},
        {
            "name": "key",
            "secret": {"secretName": called, "defaultMode": mode},
        },
        {"name": "shm", "emptyDir": memory},
        {"name": "orders", "downwardAPI": {"items": [annotations]}},
    ]
    mounts: List[Manifest] = [
        {"name": "programs", "mountPath": names.PROGRAMS, "readOnly": True},
        {"name": "key", "mountPath": names.SECRETS, "readOnly": True},
        {"name": "shm", "mountPath": SHM},
        {"name": "orders", "mountPath": names.ORDERS, "readOnly": True},
    ]
    if parcel.code:
        called_parts = [names.code_name(parcel.run_id, number) for number in range(len(parcel.code.parts))]
        sources = [{"configMap": {"name": called}} for called in called_parts]
        volumes.append({"name": "code", "projected": {"sources": sources}})
        mounts.append({"name": "code", "mountPath": names.CODE, "readOnly": True})
    for number, one in enumerate(map(kubernetes_words.volume, asked.get("k8s_volumes") or [])):
        read_only = {"readOnly": True} if one.read_only else {}
        volume = {"claimName": one.claim, **read_only}
        volumes.append({"name": "volume-%d" % number, "persistentVolumeClaim": volume})
        mounts.append({"name": "volume-%d" % number, "mountPath": one.path, **read_only})
    return volumes, mounts
