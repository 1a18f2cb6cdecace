# SPDX-License-Identifier: Apache-2.0
"""What each request of the API means: who may, what is refused, and which objects, events or lines answer it."""

from __future__ import annotations

import copy
import json
import random
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tests.integration.cluster import defaults, patches, reading, selectors, status, tables, validation
from tests.integration.cluster.logs import Log
from tests.integration.cluster.reading import Target
from tests.integration.cluster.rights import Rights
from tests.integration.cluster.status import KINDS, Kind, StatusError
from tests.integration.cluster.store import Store, grace_of

Object = dict[str, Any]
# A code, an object, and warnings.
Answer = tuple[int, Object, list[str]]
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_KEPT = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "namespace",
    "name",
)
# Kinds of which a deletion returns the object, though it is gone.
_RETURNED = ("pods", "services", "persistentvolumeclaims")
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

    def __init__(self, store: Store, version: str, log_of: Callable[[Object], Log | None], rights: Rights):
        self.store, self.version, self._log_of, self.rights = store, version, log_of, rights
        self.suspends_jobs = False
        self.quotas: dict[str, int] = {}
        self.delay_seconds = 0.0
        # Errors of the stand-in itself; its context ends with them.
        self.failures: list[str] = []
        self.calls: list[tuple[str, str, str]] = []

    def admit(self, request: Request, authorization: str) -> None:
        """Refuse who is not known, after the time that the server takes."""
        time.sleep(self.delay_seconds)
        self.rights.authenticate(authorization)

    def answer(self, request: Request) -> Answer | Iterable[bytes]:
        """Return the code and the object of an answer, or its stream."""
        if request.path == REVIEWS and request.method == "POST":
            return 201, self.rights.review(_object(request.body)), []
        target = parse(request.path)
        verb = _verb(request, target)
        self.calls.append((verb, "/".join(filter(None, (target.kind.plural, target.subresource))), target.name))
        self.rights.require(verb, target.kind, target.namespace, target.name, target.subresource)
        if target.subresource == "log" and verb == "get":
            return reading.log(self.store.get("pods", target.namespace, target.name), self._log_of, request.query)
        if verb == "watch":
            return reading.watch(self.store, target, request.query, tables.is_wanted(request.accept))
        if target.subresource and verb != "get":
            raise status.no_path()
        return getattr(self, "_" + verb)(target, request)

    # -- the verbs ------------------------------------------------------------------------------------

    def _get(self, target: Target, request: Request) -> Answer:
        return 200, _as_wanted(target.kind, self.store.get(*target.key), request), []

    def _list(self, target: Target, request: Request) -> Answer:
        kind = target.kind
        items, version = self.store.snapshot(kind.plural, target.namespace, selectors.of(request.query))
        meta = {"resourceVersion": str(version)}
        found = {"kind": kind.name + "List", "apiVersion": kind.api_version, "metadata": meta, "items": items}
        return 200, _as_wanted(kind, found, request), []

    def _create(self, target: Target, request: Request) -> Answer:
        return self.create(target, _object(request.body), request.query)

    def create(self, target: Target, given: Object, query: dict[str, str]) -> Answer:
        """Keep an object that a user sent, or refuse it."""
        kind = target.kind
        self._check_place(target, given)
        value, warnings = validation.decode(kind, given, self.version, query.get("fieldValidation", "Warn"))
        meta = value.setdefault("metadata", {})
        if "generateName" in meta and not meta.get("name"):
            meta["name"] = meta["generateName"] + "".join(random.choices(_LETTERS, k=5))
        meta["uid"] = str(uuid.uuid4())
        value.pop("status", None)
        defaults.fill(kind.plural, value)
        if kind.plural == "jobs" and self.suspends_jobs:
            value["spec"]["suspend"] = True
        validation.check(kind, value)
        refusal = self.over_quota(kind, target.namespace)
        if refusal:
            raise status.forbidden(kind, meta["name"], refusal)
        if query.get("dryRun") == "All":
            if self.store.find(kind.plural, target.namespace, meta["name"]):
                raise status.already_exists(kind, meta["name"])
            return 201, value, warnings
        return 201, self.store.create(kind.plural, value), warnings

    def _update(self, target: Target, request: Request) -> Answer:
        wanted = _object(request.body)
        return self._changed(target, lambda _: wanted, request.query)

    def _patch(self, target: Target, request: Request) -> Answer:
        change = patches.reader(request.content_type, request.body)
        if request.content_type == patches.APPLY and self.store.find(*target.key) is None:
            self.rights.require("create", target.kind, target.namespace, "", "")
            return self.create(target, change({}), request.query)
        return self._changed(target, change, request.query)

    def _changed(self, target: Target, change: Callable[[Object], Object], query: dict[str, str]) -> Answer:
        """Change an object as a user asks; what only the cluster writes stays."""
        warnings: list[str] = []

        def edit(before: Object) -> Object:
            wanted = change(copy.deepcopy(before))
            version = wanted.get("metadata", {}).get("resourceVersion")
            if version and version != before["metadata"]["resourceVersion"]:
                raise status.conflict(target.kind, target.name)
            after, found = validation.decode(target.kind, wanted, self.version, query.get("fieldValidation", "Warn"))
            warnings[:] = found
            for name in _KEPT:
                if name in before["metadata"]:
                    after["metadata"][name] = before["metadata"][name]
            after |= {"status": before["status"]} if "status" in before else {}
            defaults.fill_changed(target.kind.plural, before, after)
            validation.check_update(target.kind, before, after)
            return after

        if query.get("dryRun") == "All":
            return 200, edit(self.store.get(*target.key)), warnings
        return 200, self.store.change(*target.key, edit), warnings

    def _delete(self, target: Target, request: Request) -> Answer:
        if not target.name:
            raise StatusError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        options = {**(_object(request.body) if request.body else {}), **request.query}
        value = self.store.get(*target.key)
        _check_preconditions(target, value, options.get("preconditions") or {})
        if request.query.get("dryRun") == "All" or options.get("dryRun"):
            return 200, value, []
        finalizers, grace = _how_deleted(target.kind, value, options)
        left = self.store.delete(*target.key, grace, finalizers)
        if target.kind.plural in _RETURNED or self.store.find(*target.key):
            return 200, left, []
        details = {"name": target.name, "kind": target.kind.plural, "uid": value["metadata"]["uid"]}
        return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}, []

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

    def over_quota(self, kind: Kind, namespace: str) -> str | None:
        """Return why one more object of a kind is too many, as a ResourceQuota says it."""
        limit = self.quotas.get(kind.plural)
        over = ("Succeeded", "Failed")  # Pods that have ended do not count.
        there = self.store.list(kind.plural, namespace, lambda value: value.get("status", {}).get("phase") not in over)
        if limit is None or len(there) < limit:
            return None
        key = "pods" if kind.plural == "pods" else f"count/{kind.qualified}"
        return f"exceeded quota: team, requested: {key}=1, used: {key}={len(there)}, limited: {key}={limit}"


def _as_wanted(kind: Kind, value: Object, request: Request) -> Object:
    return tables.of(kind.plural, value) if tables.is_wanted(request.accept) else value


def _object(body: bytes) -> Object:
    if body.startswith(b"k8s\0"):
        raise StatusError(415, "UnsupportedMediaType", "this stand-in for an API server does not read protobuf")
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
