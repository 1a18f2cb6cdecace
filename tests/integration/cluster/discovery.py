# SPDX-License-Identifier: Apache-2.0
"""The documents in which an API server says what it serves."""

from __future__ import annotations

from typing import Any

from tests.integration.cluster.status import KINDS

Object = dict[str, Any]


def document(path: str, accept: str, version: str) -> Object | None:
    """Return the document at a path, or None if there is none."""
    if path == "/version":
        major, minor = version.split(".")[:2]
        return {"major": major, "minor": minor, "gitVersion": f"v{version}.0", "platform": "linux/amd64"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in _groups()]}
    if path == "/api/v1":
        return _resources("")
    if path == "/openapi/v3":
        return {"paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash=0"} for name in _documented()}}
    if path.startswith("/openapi/v3/") and path[len("/openapi/v3/") :] in _documented():
        return _schema(path[len("/openapi/v3/") :])
    words = path.strip("/").split("/")
    if words[0] == "apis" and words[1] in _groups():
        if len(words) == 2:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(words[1])}
        if words[2:] == ["v1"]:
            return _resources(words[1])
    return None


def _documented() -> list[str]:
    return ["api/v1", *(f"apis/{name}/v1" for name in _groups())]


def _schema(prefix: str) -> Object:
    """Say of each kind that the server itself validates fields: all that kubectl needs to leave it to the server."""
    paths = {}
    for kind in KINDS.values():
        if prefix == (f"apis/{kind.group}/v1" if kind.group else "api/v1"):
            meant = {"group": kind.group, "version": "v1", "kind": kind.name}
            names = ("dryRun", "fieldValidation", "fieldManager", "force")
            parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
            operation = {"x-kubernetes-group-version-kind": meant, "parameters": parameters, "responses": {}}
            space = "namespaces/{namespace}/" if kind.namespaced else ""
            paths[f"/{prefix}/{space}{kind.plural}/{{name}}"] = {"patch": operation}
    return {"openapi": "3.0.0", "info": {"title": "stand-in", "version": "0"}, "paths": paths}


def _groups() -> list[str]:
    return sorted({kind.group for kind in KINDS.values()} - {""})


def _group(name: str) -> Object:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> Object:
    kinds = [kind for kind in KINDS.values() if kind.group == group]
    found = [
        {
            "name": kind.plural,
            "singularName": kind.name.lower(),
            "namespaced": kind.namespaced,
            "kind": kind.name,
            "verbs": list(kind.verbs),
            "shortNames": list(kind.short),
            **({"categories": ["all"]} if kind.plural in ("pods", "services", "jobs") else {}),
        }
        for kind in kinds
    ]
    if not group:
        found.append({"name": "pods/log", "singularName": "", "namespaced": True, "kind": "Pod", "verbs": ["get"]})
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/v1".lstrip("/"),
        "resources": found,
    }
