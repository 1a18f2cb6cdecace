# SPDX-License-Identifier: Apache-2.0
"""What the API server refuses in pods and in templates of pods, with its sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.integration.cluster.quantity import amount
from tests.integration.cluster.rules_meta import (
    annotations,
    invalid,
    label_problems,
    labels,
    qualified_name_problems,
    required,
    shown,
    subdomain_problems,
    unsupported,
)

Object = dict[str, Any]
_ENV = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_ANY_ENV = (
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start "
    "with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is "
    "'[-._a-zA-Z][-._a-zA-Z0-9]*')"
)
_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_FILE_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_SUBSCRIPTED = re.compile(r"metadata\.(?:labels|annotations)\['.+'\]")
_STANDARD = ("cpu", "memory", "ephemeral-storage")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


def template(found: Object, path: str) -> Iterator[str]:
    """Yield the problems of a template of pods."""
    meta = found.get("metadata") or {}
    yield from labels(meta.get("labels"), f"{path}.labels")
    yield from annotations(meta.get("annotations"), f"{path}.annotations")
    yield from spec(found.get("spec") or {}, f"{path}.spec")


def spec(pod: Object, path: str) -> Iterator[str]:
    """Yield the problems of a pod."""
    volumes = pod.get("volumes") or []
    yield from _volumes(volumes, f"{path}.volumes")
    containers = pod.get("containers") or []
    if not containers:
        yield required(f"{path}.containers")
    yield from _duplicates([one.get("name", "") for one in containers], f"{path}.containers", "name")
    for at, one in enumerate(containers):
        yield from _container(one, {volume.get("name") for volume in volumes}, f"{path}.containers[{at}]")
    if pod["dnsPolicy"] not in _DNS:
        yield unsupported(f"{path}.dnsPolicy", pod["dnsPolicy"], _DNS)
    for name in ("hostname", "subdomain"):
        yield from (invalid(f"{path}.{name}", pod[name], why) for why in label_problems(pod.get(name) or "a"))
    for name in ("serviceAccountName", "priorityClassName"):
        yield from (invalid(f"{path}.{name}", pod[name], why) for why in subdomain_problems(pod.get(name) or "a"))
    yield from labels(pod.get("nodeSelector"), f"{path}.nodeSelector")
    for at, one in enumerate(pod.get("tolerations") or ()):
        yield from _toleration(one, f"{path}.tolerations[{at}]")
    grace = pod["terminationGracePeriodSeconds"]
    if grace < 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0")


def _duplicates(names: list[str], path: str, field: str) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for at, name in enumerate(names):
        seen[name] += 1
        if not name:
            yield required(f"{path}[{at}].{field}")
        elif seen[name] > 1:
            yield f"{path}[{at}].{field}: Duplicate value: {shown(name)}"
        else:
            yield from (invalid(f"{path}[{at}].{field}", name, why) for why in label_problems(name))


def _container(container: Object, volumes: set[Any], path: str) -> Iterator[str]:
    if not container.get("image"):
        yield required(f"{path}.image")
    for at, one in enumerate(container.get("env") or ()):
        yield from _variable(one, f"{path}.env[{at}]")
    paths: set[str] = set()
    for at, one in enumerate(container.get("volumeMounts") or ()):
        where = f"{path}.volumeMounts[{at}]"
        if one.get("name") not in volumes:
            yield f"{where}.name: Not found: {shown(one.get('name', ''))}"
        if not one.get("mountPath"):
            yield required(f"{where}.mountPath")
        if one.get("mountPath") in paths:
            yield invalid(f"{where}.mountPath", one["mountPath"], "must be unique")
        paths.add(one.get("mountPath", ""))
    yield from _resources(container["resources"], f"{path}.resources")


def _variable(variable: Object, path: str) -> Iterator[str]:
    name, source = variable.get("name") or "", variable.get("valueFrom")
    if not name:
        yield required(f"{path}.name")
    elif not _ENV.fullmatch(name):
        yield invalid(f"{path}.name", name, _ANY_ENV)
    if source is None:
        return
    if variable.get("value"):
        yield invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    if len(source) != 1:
        yield invalid(
            f"{path}.valueFrom",
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        )
    if "fieldRef" in source:
        yield from _field(source["fieldRef"], _ENV_FIELDS, f"{path}.valueFrom.fieldRef")


def _field(reference: Object, known: tuple[str, ...], path: str) -> Iterator[str]:
    name = reference.get("fieldPath") or ""
    if not name:
        yield required(f"{path}.fieldPath")
    elif not _SUBSCRIPTED.fullmatch(name) and name not in known:
        if name in (*_ENV_FIELDS, *_FILE_FIELDS):
            yield unsupported(f"{path}.fieldPath", name, known)
        else:
            yield invalid(f"{path}.fieldPath", name, f"error converting fieldPath: field label not supported: {name}")


def _resources(found: Object, path: str) -> Iterator[str]:
    limits, requests = found.get("limits") or {}, found.get("requests") or {}
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, text in amounts.items():
            yield from _resource(name, text, f"{path}.{part}", f"{path}.{part}[{name}]")
    for name, text in requests.items():
        is_extended = "/" in name
        if name not in limits:
            if is_extended:
                yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        elif is_extended and amount(text) != amount(limits[name]):
            yield invalid(f"{path}.requests", str(text), f"must be equal to {name} limit of {limits[name]}")
        elif amount(text) > amount(limits[name]):
            yield invalid(
                f"{path}.requests", str(text), f"must be less than or equal to {name} limit of {limits[name]}"
            )


def _resource(name: str, text: str | int, path: str, place: str) -> Iterator[str]:
    yield from (invalid(path, name, why) for why in qualified_name_problems(name))
    if "/" not in name and name not in _STANDARD and not name.startswith("hugepages-"):
        yield invalid(path, name, "must be a standard resource type or fully qualified")
        yield invalid(path, name, "must be a standard resource for containers")
    if amount(text) < 0:
        yield invalid(place, str(text), "must be greater than or equal to 0")
    if "/" in name and amount(text) % 1:
        yield invalid(place, str(text), "must be an integer")


def _volumes(volumes: list[Object], path: str) -> Iterator[str]:
    yield from _duplicates([one.get("name", "") for one in volumes], path, "name")
    for at, one in enumerate(volumes):
        where, kinds = f"{path}[{at}]", [name for name in one if name != "name"]
        if not kinds:
            yield required(where, "must specify a volume type")
        if len(kinds) > 1:
            yield f"{where}.{kinds[1]}: Forbidden: may not specify more than 1 volume type"
        for kind, field in (("configMap", "name"), ("secret", "secretName"), ("persistentVolumeClaim", "claimName")):
            if kind in one and not one[kind].get(field):
                yield required(f"{where}.{kind}.{field}")
        for kind in ("configMap", "secret", "downwardAPI"):
            if kind in one:
                yield from _files(one[kind], f"{where}.{kind}")


def _files(source: Object, path: str) -> Iterator[str]:
    items = source.get("items") or []
    modes = [("defaultMode", source.get("defaultMode"))]
    modes += [(f"items[{at}].mode", item.get("mode")) for at, item in enumerate(items)]
    for place, mode in modes:
        if mode is not None and not 0 <= mode <= 0o777:
            why = "must be a number between 0 and 0777 (octal), both inclusive"
            yield invalid(f"{path}.{place}", mode, why)
    for at, item in enumerate(items):
        where, name = f"{path}.items[{at}]", item.get("path") or ""
        if not name:
            yield required(f"{where}.path")
        if name.startswith("/"):
            yield invalid(f"{where}.path", name, "must be a relative path")
        if ".." in name.split("/"):
            yield invalid(f"{where}.path", name, "must not contain '..'")
        elif name.startswith(".."):
            yield invalid(f"{where}.path", name, "must not start with '..'")
        if "fieldRef" in item:
            yield from _field(item["fieldRef"], _FILE_FIELDS, f"{where}.fieldRef")
        elif "key" in item and not item["key"]:
            yield required(f"{where}.key")


def _toleration(found: Object, path: str) -> Iterator[str]:
    key, operator = found.get("key") or "", found.get("operator") or "Equal"
    if key:
        yield from (invalid(f"{path}.key", key, why) for why in qualified_name_problems(key))
    elif operator != "Exists":
        why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid(f"{path}.operator", operator, why)
    if operator == "Exists" and found.get("value"):
        yield invalid(f"{path}.operator", found["value"], "value must be empty when `operator` is 'Exists'")
    if operator not in ("Equal", "Exists"):
        yield unsupported(f"{path}.operator", operator, ("Equal", "Exists"))
    if found.get("effect") and found["effect"] not in _EFFECTS:
        yield unsupported(f"{path}.effect", found["effect"], _EFFECTS)
