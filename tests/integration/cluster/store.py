# SPDX-License-Identifier: Apache-2.0
"""What the API server keeps: objects with versions, their history for watches, and what deletion means."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.integration.cluster import status
from tests.integration.cluster.status import KINDS

Object = dict[str, Any]
Matches = Callable[[Object], bool]
HISTORY = 20_000
# What the controllers set apart from what a user asked for; only a change of the latter is a new generation.
_NOT_DESIRED = ("metadata", "status")


def now() -> str:
    """Return the time as the API writes it: whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Change(NamedTuple):
    """A change of an object; what was before decides what a watch with a selector says about it."""

    version: int
    kind: str
    before: Object | None
    after: Object | None


class Store:
    """The objects of a cluster, safe for threads; it hands out and takes copies."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version, self.oldest, self.closed = 1000, 1000, False
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._history: list[Change] = []

    # -- reading ------------------------------------------------------------------------------------

    def get(self, plural: str, namespace: str, name: str) -> Object:
        """Return an object, or refuse with 404."""
        with self.changed:
            return copy.deepcopy(self._found(plural, namespace, name))

    def find(self, plural: str, namespace: str, name: str) -> Object | None:
        """Return an object if there is one."""
        with self.changed:
            return copy.deepcopy(self._objects.get((plural, namespace, name)))

    def list(self, plural: str, namespace: str = "", matches: Matches = lambda _: True) -> list[Object]:
        """Return objects of a namespace, or of all."""
        return self.snapshot(plural, namespace, matches)[0]

    def snapshot(self, plural: str, namespace: str, matches: Matches) -> tuple[list[Object], int]:
        """Return objects, and the version from which a watch continues."""
        with self.changed:
            keys = [key for key in sorted(self._objects) if key[0] == plural and namespace in ("", key[1])]
            return [copy.deepcopy(self._objects[key]) for key in keys if matches(self._objects[key])], self.version

    def watch(self, plural: str, namespace: str, matches: Matches, since: int, wait: float) -> Iterator[Object]:
        """
        Yield the events after a version until there was none for some seconds; then an empty one, and so on.

        Raises:
            StatusError: If the version is older than what is remembered, at the start or later.
        """
        while True:
            with self.changed:
                if since < self.oldest:
                    raise status.expired(since, self.oldest)
                if since >= self.version and not self.closed:
                    self.changed.wait(wait)
                if self.closed:
                    return
                if since < self.oldest:
                    raise status.expired(since, self.oldest)
                events = [
                    event for change in self._after(since) if (event := _seen(change, plural, namespace, matches))
                ]
                since = self.version
            yield from events
            if not events:
                yield {}

    def _after(self, since: int) -> Iterator[Change]:
        at = len(self._history)
        while at and self._history[at - 1].version > since:
            at -= 1
        return iter(self._history[at:])

    # -- changing -----------------------------------------------------------------------------------

    def create(self, plural: str, given: Object) -> Object:
        """Keep a new object, with its uid, version and time, or refuse with 409."""
        kind, value = KINDS[plural], copy.deepcopy(given)
        meta = value["metadata"]
        with self.changed:
            key = (plural, meta.get("namespace", ""), meta["name"])
            if key in self._objects:
                raise status.already_exists(kind, meta["name"])
            value.setdefault("apiVersion", kind.api_version)
            value.setdefault("kind", kind.name)
            meta.setdefault("uid", str(uuid.uuid4()))
            meta["creationTimestamp"] = now()
            if plural in ("jobs", "pods"):
                meta["generation"] = 1
            self._keep(key, None, value)
            return copy.deepcopy(value)

    def change(self, plural: str, namespace: str, name: str, edit: Callable[[Object], Object | None]) -> Object:
        """Edit an object in place, or put another into its place; an object without finalizers that is deleted goes."""
        with self.changed:
            before = self._found(plural, namespace, name)
            value = copy.deepcopy(before)
            value = edit(value) or value
            value["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
            if value == before:
                return copy.deepcopy(value)
            if plural == "jobs" and _desired(value) != _desired(before):
                value["metadata"]["generation"] = before["metadata"].get("generation", 1) + 1
            key = (plural, namespace, name)
            if _is_over(plural, value):
                self._drop(key)
            else:
                self._keep(key, before, value)
            return copy.deepcopy(value)

    def edit(self, plural: str, item: Object, edit: Callable[[Object], Object | None]) -> Object | None:
        """Change an object that may be gone, or be another one of the same name."""
        meta = item["metadata"]
        with self.changed:
            current = self._objects.get((plural, meta.get("namespace", ""), meta["name"]))
            if current is None or current["metadata"]["uid"] != meta["uid"]:
                return None
            return self.change(plural, meta.get("namespace", ""), meta["name"], edit)

    def delete(
        self, plural: str, namespace: str, name: str, grace: int = 0, finalizers: tuple[str, ...] = ()
    ) -> Object:
        """Mark an object as deleted; it goes once nothing holds it: a finalizer, or a pod's grace."""

        def mark(value: Object) -> None:
            meta = value["metadata"]
            known = meta.setdefault("finalizers", [])
            known += [one for one in finalizers if one not in known]
            if not known:
                del meta["finalizers"]
            if "deletionTimestamp" not in meta or grace < meta.get("deletionGracePeriodSeconds", 0):
                meta.setdefault("deletionTimestamp", now())
                meta["deletionGracePeriodSeconds"] = grace

        return self.change(plural, namespace, name, mark)

    def discard(self, plural: str, item: Object, grace: int = 0) -> None:
        """Delete an object that may be gone, or deleted, or be another one of the same name: others delete, too."""
        with self.changed:
            current = self.edit(plural, item, lambda _: None)
            if current is not None and "deletionTimestamp" not in current["metadata"]:
                self.delete(plural, current["metadata"].get("namespace", ""), current["metadata"]["name"], grace)

    def wait(self, version: int, seconds: float) -> None:
        """Wait until there is something newer than a version."""
        with self.changed:
            if self.version == version and not self.closed:
                self.changed.wait(seconds)

    def touch(self) -> None:
        """Let all who wait look again, though no object has changed."""
        with self.changed:
            self.version += 1
            self.changed.notify_all()

    def forget_history(self) -> None:
        """Forget old versions: every watch, running or asked for with what is known now, ends with 410."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self._history.clear()
            self.changed.notify_all()

    def close(self) -> None:
        """End all watches."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def _found(self, plural: str, namespace: str, name: str) -> Object:
        value = self._objects.get((plural, namespace, name))
        if value is None:
            raise status.not_found(KINDS[plural], name)
        return value

    def _keep(self, key: tuple[str, str, str], before: Object | None, value: Object) -> None:
        self._objects[key] = value
        self._remember(key[0], before, value)

    def _drop(self, key: tuple[str, str, str]) -> None:
        self._remember(key[0], self._objects.pop(key), None)

    def _remember(self, plural: str, before: Object | None, after: Object | None) -> None:
        self.version += 1
        if after is not None:
            after["metadata"]["resourceVersion"] = str(self.version)
        self._history.append(Change(self.version, plural, before, copy.deepcopy(after)))
        if len(self._history) > HISTORY:
            self.oldest = self._history.pop(0).version
        self.changed.notify_all()


def grace_of(pod: Object, asked: int | None = None) -> int:
    """Return the seconds that a pod has to end when it is deleted: none where nothing of it runs."""
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed") or not pod["spec"].get("nodeName"):
        return 0
    return pod["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked


def _desired(value: Object) -> Object:
    return {name: part for name, part in value.items() if name not in _NOT_DESIRED}


def _is_over(plural: str, value: Object) -> bool:
    meta = value["metadata"]
    return "deletionTimestamp" in meta and not meta.get("finalizers") and not meta.get("deletionGracePeriodSeconds")


def _seen(change: Change, plural: str, namespace: str, matches: Matches) -> Object | None:
    """Return what a watch with a selector sees of a change."""
    if change.kind != plural:
        return None
    one = change.after or change.before or {}
    if namespace not in ("", one["metadata"].get("namespace", "")):
        return None
    was, is_now = (value is not None and matches(value) for value in (change.before, change.after))
    if is_now:
        return {"type": "MODIFIED" if was else "ADDED", "object": copy.deepcopy(change.after)}
    if not was:
        return None
    last = copy.deepcopy(change.after or change.before)
    last["metadata"]["resourceVersion"] = str(change.version)  # type: ignore[index]
    return {"type": "DELETED", "object": last}
