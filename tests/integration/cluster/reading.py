# SPDX-License-Identifier: Apache-2.0
"""Answers that come piece by piece: watches and logs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from tests.integration.cluster import selectors, status, tables
from tests.integration.cluster.logs import Log, Wanted
from tests.integration.cluster.status import Kind, StatusError
from tests.integration.cluster.store import Matches, Store

Object = dict[str, Any]
BOOKMARK_SECONDS = 30.0
LONGEST_WATCH = 3600.0
TRUE = ("true", "1", "True")


class Target(NamedTuple):
    """What a path names."""

    kind: Kind
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Its key in the store."""
        return self.kind.plural, self.namespace, self.name


def watch(store: Store, target: Target, query: dict[str, str], as_table: bool) -> Iterator[bytes]:
    """
    Return the events of a watch as lines until its time is over, with an empty piece while there are none.

    Raises:
        StatusError: If the server cannot select what is asked for.
    """
    return _watched(store, target, selectors.of(query), query, as_table)


def _watched(store: Store, target: Target, matches: Matches, query: dict[str, str], as_table: bool) -> Iterator[bytes]:
    plural, since = target.kind.plural, int(query.get("resourceVersion") or 0)
    deadline = time.monotonic() + float(query.get("timeoutSeconds") or LONGEST_WATCH)
    marked = time.monotonic()

    def line(kind: str, value: Object) -> bytes:
        return _line(kind, tables.of(plural, value) if as_table and kind != "ERROR" else value)

    if not since:
        first, since = store.snapshot(plural, target.namespace, matches)
        yield from (line("ADDED", value) for value in first)
    try:
        for event in store.watch(plural, target.namespace, matches, since, 0.5):
            yield line(event["type"], event["object"]) if event else b""
            if time.monotonic() >= deadline:
                break
            if query.get("allowWatchBookmarks") in TRUE and not event and time.monotonic() - marked > BOOKMARK_SECONDS:
                marked = time.monotonic()
                yield _line("BOOKMARK", _bookmark(store, target))
    except StatusError as refusal:
        yield line("ERROR", refusal.status())


def _bookmark(store: Store, target: Target) -> Object:
    meta = {"resourceVersion": str(store.version), "creationTimestamp": None}
    return {"kind": target.kind.name, "apiVersion": target.kind.api_version, "metadata": meta}


def _line(kind: str, value: Object) -> bytes:
    return json.dumps({"type": kind, "object": value}).encode() + b"\n"


def log(pod: Object, log_of: Callable[[Object], Log | None], query: dict[str, str]) -> Iterator[bytes]:
    """
    Return the pieces of a container's log.

    Raises:
        StatusError: If there is no such container, or it has not started yet.
    """
    name, containers = pod["metadata"]["name"], [one["name"] for one in pod["spec"]["containers"]]
    container = query.get("container") or containers[0]
    if container not in containers:
        raise status.bad_request(f"container {container} is not valid for pod {name}")
    if query.get("previous") in TRUE:
        raise status.bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
    if not pod["spec"].get("nodeName"):
        raise status.bad_request(f"pod {name} does not have a host assigned")
    found = log_of(pod)
    if found is None:
        raise status.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {_waiting(pod)}')
    return found.read(_wanted(query))


def _waiting(pod: Object) -> str:
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    reason = statuses[0].get("state", {}).get("waiting", {}).get("reason", "ContainerCreating")
    said = {"ImagePullBackOff": "trying and failing to pull image", "ErrImagePull": "image can't be pulled"}
    return said.get(reason, reason)


def _wanted(query: dict[str, str]) -> Wanted:
    since = 0
    if query.get("sinceTime"):
        # Between API server and kubelet it travels without its fraction.
        since = int(datetime.fromisoformat(query["sinceTime"]).timestamp()) * 1_000_000_000
    elif query.get("sinceSeconds"):
        since = time.time_ns() - int(query["sinceSeconds"]) * 1_000_000_000
    return Wanted(
        follow=query.get("follow") in TRUE,
        since_ns=since,
        timestamps=query.get("timestamps") in TRUE,
        tail=int(query["tailLines"]) if "tailLines" in query else None,
        limit=int(query["limitBytes"]) if "limitBytes" in query else None,
    )
