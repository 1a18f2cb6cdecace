# SPDX-License-Identifier: Apache-2.0
"""Whether an API server would take a manifest: by Kubernetes' published schemas, and by what its own checks say beyond them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from tests.integration.cluster import defaults, rules_job, rules_meta, rules_other, rules_pod, schema
from tests.integration.cluster.status import KINDS, Kind, bad_request, invalid

Object = dict[str, Any]
OLDEST = "1.29"
_RULES = {
    "Job": rules_job.job,
    "Pod": lambda pod: rules_pod.spec(pod["spec"], "spec"),
    "ConfigMap": rules_other.config_map,
    "Secret": rules_other.secret,
    "Service": rules_other.service,
}
_UPDATES = {
    "Job": rules_job.update,
    "Pod": rules_other.pod_update,
    "ConfigMap": rules_other.data_update,
    "Secret": rules_other.data_update,
    "Service": rules_other.service_update,
}


def problems(manifest: Object, version: str = OLDEST) -> list[str]:
    """
    Return why an API server of a version would refuse to create an object, each problem with its field.

    Unknown fields count, as with ``fieldValidation=Strict``.
    """
    kind = next((kind for kind in KINDS.values() if kind.name == manifest.get("kind")), None)
    if kind is None or manifest.get("apiVersion") != kind.api_version:
        return [f'no matches for kind "{manifest.get("kind")}" in version "{manifest.get("apiVersion")}"']
    manifest = schema.without_nulls(manifest)
    unknown = [f'unknown field "{schema.written(path)}"' for path in schema.unknown_fields(manifest, version)]
    found = unknown + schema.wrong_types(manifest, version)
    return found or list(_semantic(kind, filled(kind, manifest)))


def filled(kind: Kind, value: Object) -> Object:
    """Return an object with its defaults."""
    value = copy.deepcopy(value)
    value.setdefault("metadata", {}).setdefault("uid", "00000000-0000-0000-0000-000000000000")
    defaults.fill(kind.plural, value)
    return value


def decode(kind: Kind, value: Object, version: str, strictness: str) -> tuple[Object, list[str]]:
    """
    Return an object without fields that are unknown, and warnings about them.

    Raises:
        StatusError: 400 if a field has the wrong type, or is unknown where that is an error.
    """
    typed = {**schema.without_nulls(value), "kind": kind.name, "apiVersion": kind.api_version}
    wrong = schema.wrong_types(typed, version)
    what = f'{kind.name} in version "v1" cannot be handled as a {kind.name}'
    if wrong:
        raise bad_request(f"{what}: {wrong[0]}")
    paths = schema.unknown_fields(typed, version)
    unknown = [f'unknown field "{schema.written(path)}"' for path in paths]
    if unknown and strictness == "Strict":
        raise bad_request(f"{what}: strict decoding error: {', '.join(unknown)}")
    return schema.without(typed, paths), unknown if strictness == "Warn" else []


def check(kind: Kind, value: Object) -> None:
    """Refuse an object that has its defaults, with 422, if something about it is not valid."""
    found = list(_semantic(kind, value))
    if found:
        raise invalid(kind, value["metadata"].get("name", ""), found)


def check_update(kind: Kind, before: Object, after: Object) -> None:
    """Refuse a change, with 422, if it is not valid, or changes what may not change."""
    found = [*_semantic(kind, after)]
    if kind.name in _UPDATES:
        found += _UPDATES[kind.name](before, after)
    if found:
        raise invalid(kind, after["metadata"]["name"], found)


def _semantic(kind: Kind, value: Object) -> Iterator[str]:
    yield from rules_meta.metadata(kind.name, value["metadata"])
    if kind.name in _RULES:
        yield from _RULES[kind.name](value)
