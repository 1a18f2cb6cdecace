# SPDX-License-Identifier: Apache-2.0
"""What the API server refuses in ConfigMaps, Secrets, Services and in changes of them and of pods, with its sentences."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from tests.integration.cluster.rules_meta import invalid, labels, required

Object = dict[str, Any]
MOST = 1024 * 1024
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ANY_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def config_map(value: Object) -> Iterator[str]:
    """Yield the problems of a ConfigMap."""
    data, binary = value.get("data") or {}, value.get("binaryData") or {}
    yield from _keys(data, "data")
    yield from _keys(binary, "binaryData")
    for key in sorted(data.keys() & binary.keys()):
        yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    size = sum(len(text.encode()) for text in data.values()) + sum(map(_decoded, binary.values()))
    if size > MOST:
        yield f"[]: Too long: may not be more than {MOST} bytes"


def secret(value: Object) -> Iterator[str]:
    """Yield the problems of a Secret."""
    data = value.get("data") or {}
    yield from _keys(data, "data")
    if sum(map(_decoded, data.values())) > MOST:
        yield f"data: Too long: may not be more than {MOST} bytes"


def _decoded(text: str) -> int:
    return len(base64.b64decode(text))


def _keys(data: Object, path: str) -> Iterator[str]:
    for key in data:
        if len(key) > 253:
            yield invalid(f"{path}[{key}]", key, "must be no more than 253 characters")
        if not _KEY.fullmatch(key):
            yield invalid(f"{path}[{key}]", key, _ANY_KEY)
        elif key in (".", "..") or key.startswith(".."):
            yield invalid(f"{path}[{key}]", key, "must not start with '..'" if key != "." else "must not be '.'")


def service(value: Object) -> Iterator[str]:
    """Yield the problems of a Service."""
    spec = value["spec"]
    if spec["type"] not in _SERVICE_TYPES:
        known = ", ".join(f'"{one}"' for one in _SERVICE_TYPES)
        yield f'spec.type: Unsupported value: "{spec["type"]}": supported values: {known}'
    if not spec.get("ports") and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        yield required("spec.ports")
    yield from labels(spec.get("selector"), "spec.selector")


def data_update(before: Object, after: Object) -> Iterator[str]:
    """Yield the problems of a change of a Secret or a ConfigMap that is immutable."""
    if not before.get("immutable"):
        return
    if not after.get("immutable"):
        yield "immutable: Forbidden: field is immutable when `immutable` is set"
    for field in ("data", "binaryData"):
        if before.get(field) != after.get(field):
            yield f"{field}: Forbidden: field is immutable when `immutable` is set"


def service_update(before: Object, after: Object) -> Iterator[str]:
    """Yield the problems of a change of a Service."""
    if before["spec"]["clusterIP"] != after["spec"].get("clusterIP"):
        yield f'spec.clusterIPs[0]: Invalid value: ["{after["spec"].get("clusterIP")}"]: may not change once set'


def pod_update(before: Object, after: Object) -> Iterator[str]:
    """Yield the problems of a change of a pod: little but its labels and annotations may change."""

    def fixed(pod: Object) -> Object:
        spec = {
            name: part for name, part in pod["spec"].items() if name not in ("activeDeadlineSeconds", "tolerations")
        }
        return {**spec, "containers": [{**one, "image": ""} for one in spec["containers"]]}

    if fixed(before) != fixed(after):
        fields = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)"
        yield f"spec: Forbidden: pod updates may not change fields other than {fields}"
