# SPDX-License-Identifier: Apache-2.0
"""What each request of the API means: who may, what is refused, and which objects, events or lines answer it."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tests.integration.cluster import defaults, patches, reading, selectors, status
from tests.integration.cluster.logs import Log
from tests.integration.cluster.reading import Target
from tests.integration.cluster.rights import Rights
from tests.integration.cluster.status import KINDS, Kind, StatusError
from tests.integration.cluster.store import Store, grace_of

Object = dict[str, Any]
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Request(NamedTuple):
    """A request, as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    content_type: str
    accept: str
    user: str


class Requests:
    """The API server without its HTTP."""

    def __init__(self, store: Store, version: str, log_of: Callable[[Object], Log]):
        self.store, self.version, self._log_of = store, version, log_of
        self.rights = Rights()
        self.quotas: dict[str, int] = {}
        self.delay_seconds = 0.0
        self.calls: list[tuple[str, str, str]] = []

    def admit(self, request: Request, authorization: str) -> None:
        """Refuse who is not known, after the time that the server takes."""
        time.sleep(self.delay_seconds)
        self.rights.authenticate(authorization)

    def answer(self, request: Request) -> tuple[int, Object] | Iterable[bytes]:
        """Return the code and the object of an answer, or its stream."""
        target = parse(request.path)
        verb = _verb(request, target)
        self.calls.append((verb, "/".join(filter(None, (target.kind.plural, target.subresource))), target.name))
        self.rights.require(verb, target.kind, target.namespace, target.name, target.subresource)
        if target.subresource == "log" and verb == "get":
            return reading.log(self.store.get("pods", target.namespace, target.name), self._log_of, request.query)
        if verb == "watch":
            return reading.watch(self.store, target, request.query)
        if target.subresource and verb != "get":
            raise status.no_path()
        return getattr(self, "_" + verb)(target, request)

    # -- the verbs ------------------------------------------------------------------------------------

    def _get(self, target: Target, request: Request) -> tuple[int, Object]:
        return 200, self.store.get(*target.key)

    def _list(self, target: Target, request: Request) -> tuple[int, Object]:
        kind = target.kind
        items, version = self.store.snapshot(kind.plural, target.namespace, selectors.of(request.query))
        meta = {"resourceVersion": str(version)}
        return 200, {"kind": kind.name + "List", "apiVersion": kind.api_version, "metadata": meta, "items": items}

    def _create(self, target: Target, request: Request) -> tuple[int, Object]:
        value = _object(request.body)
        return 201, self.create(target, value, request.query)

    def create(self, target: Target, value: Object, query: dict[str, str]) -> Object:
        """Keep an object that a user sent, or refuse it."""
        kind, meta = target.kind, value.setdefault("metadata", {})
        self._check_place(target, value)
        if "generateName" in meta and not meta.get("name"):
            meta["name"] = meta["generateName"] + "".join(random.choices(_LETTERS, k=5))
        meta["uid"] = str(uuid.uuid4())
        defaults.fill(kind.plural, value)
        self._check_quota(kind, target.namespace, meta["name"])
        if query.get("dryRun") == "All":
            if self.store.find(kind.plural, target.namespace, meta["name"]):
                raise status.already_exists(kind, meta["name"])
            return {**value, "apiVersion": kind.api_version, "kind": kind.name}
        return self.store.create(kind.plural, value)

    def _update(self, target: Target, request: Request) -> tuple[int, Object]:
        wanted = _object(request.body)
        return 200, self._changed(target, lambda _: wanted, request.query)

    def _patch(self, target: Target, request: Request) -> tuple[int, Object]:
        change = patches.reader(request.content_type, request.body)
        if request.content_type == patches.APPLY and self.store.find(*target.key) is None:
            self.rights.require("create", target.kind, target.namespace, "", "")
            return 201, self.create(target, change({}), request.query)
        return 200, self._changed(target, change, request.query)

    def _changed(self, target: Target, change: Callable[[Object], Object], query: dict[str, str]) -> Object:
        """Change an object as a user asks; what only the cluster writes stays."""

        def edit(before: Object) -> Object:
            after = change(before)
            version = after.get("metadata", {}).get("resourceVersion")
            if version and version != before["metadata"]["resourceVersion"]:
                raise status.conflict(target.kind, target.name)
            for name in ("uid", "creationTimestamp", "deletionTimestamp", "generation", "namespace", "name"):
                if name in before["metadata"]:
                    after["metadata"][name] = before["metadata"][name]
            return after | ({"status": before["status"]} if "status" in before else {})

        if query.get("dryRun") == "All":
            return edit(self.store.get(*target.key))
        return self.store.change(*target.key, edit)

    def _delete(self, target: Target, request: Request) -> tuple[int, Object]:
        if not target.name:
            raise StatusError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        options = {**(_object(request.body) if request.body else {}), **request.query}
        value = self.store.get(*target.key)
        _check_preconditions(target, value, options.get("preconditions") or {})
        if request.query.get("dryRun") == "All" or options.get("dryRun"):
            return 200, value
        finalizers, grace = _how_deleted(target.kind, value, options)
        left = self.store.delete(*target.key, grace, finalizers)
        if "deletionTimestamp" in left["metadata"] and self.store.find(*target.key):
            return 200, left
        details = {"name": target.name, "kind": target.kind.plural, "uid": value["metadata"]["uid"]}
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    # -- what is refused --------------------------------------------------------------------------------

    def _check_place(self, target: Target, value: Object) -> None:
        kind, meta = target.kind, value["metadata"]
        if value.get("kind", kind.name) != kind.name:
            wanted = f"{kind.api_version}, Kind={kind.name}"
            raise status.bad_request(f"the object provided is unrecognized (must be of type {kind.name}): {wanted}")
        if kind.namespaced and meta.setdefault("namespace", target.namespace) != target.namespace:
            what = "the namespace of the provided object does not match the namespace sent on the request"
            raise status.bad_request(what)
        if kind.namespaced and self.store.find("namespaces", "", target.namespace) is None:
            raise status.not_found(KINDS["namespaces"], target.namespace)

    def _check_quota(self, kind: Kind, namespace: str, name: str) -> None:
        """Count objects of a kind as a ResourceQuota does."""
        limit = self.quotas.get(kind.plural)
        used = len(self.store.list(kind.plural, namespace))
        if limit is not None and used >= limit:
            key = "pods" if kind.plural == "pods" else f"count/{kind.qualified}"
            why = f"exceeded quota: team, requested: {key}=1, used: {key}={used}, limited: {key}={limit}"
            raise status.forbidden(kind, name, why)


def _object(body: bytes) -> Object:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise status.bad_request("the body of the request is not an object")
    return value


def _check_preconditions(target: Target, value: Object, wanted: Object) -> None:
    for field, key in (("uid", "uid"), ("resourceVersion", "resourceVersion")):
        if field in wanted and wanted[field] != value["metadata"][key]:
            raise status.conflict(target.kind, target.name)


def _how_deleted(kind: Kind, value: Object, options: Object) -> tuple[tuple[str, ...], int]:
    """Return the finalizers that a deletion adds, and its grace."""
    policy = options.get("propagationPolicy") or "Background"
    finalizers = {"Foreground": ("foregroundDeletion",), "Orphan": ("orphan",)}.get(policy, ())
    if kind.plural != "pods":
        return finalizers if kind.plural == "jobs" else (), 0
    grace = options.get("gracePeriodSeconds")
    return (), grace_of(value, None if grace is None else int(grace))


def _verb(request: Request, target: Target) -> str:
    verb = _VERBS[request.method]
    if verb == "get" and not target.name:
        return "watch" if request.query.get("watch") in ("true", "1", "True") else "list"
    return verb


def parse(path: str) -> Target:
    """Return what a path names, or refuse it."""
    words = path.strip("/").split("/")
    group, rest = ("", words[2:]) if words[:2] == ["api", "v1"] else ("", [])
    if words[0] == "apis" and words[2:3] == ["v1"]:
        group, rest = words[1], words[3:]
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    kind = KINDS.get(rest[0]) if rest else None
    if kind is None or kind.group != group or len(rest) > 3:
        raise status.no_path()
    name, subresource = (*rest[1:], "", "")[:2]
    return Target(kind, namespace, name, subresource)
