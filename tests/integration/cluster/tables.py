# SPDX-License-Identifier: Apache-2.0
"""Tables that an API server makes for ``kubectl get``: columns are its choice, not the client's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

Object = dict[str, Any]


class Column(NamedTuple):
    """A column; one of priority 1 is shown with ``-o wide`` only."""

    name: str
    cell: Callable[[Object], Any]
    priority: int = 0


def is_wanted(accept: str) -> bool:
    """Return whether a client asks for a table."""
    return "as=Table" in accept and "v=v1;" in accept.replace(",", ";") + ";"


def of(plural: str, value: Object) -> Object:
    """Return an object, or a list of them, as a table."""
    items = value.get("items", [value])
    columns = _COLUMNS.get(plural, _PLAIN)
    meta = {"resourceVersion": value["metadata"].get("resourceVersion", "")}
    definitions = [
        {
            "name": one.name,
            "type": "string",
            "format": "name" if one.name == "Name" else "",
            "description": one.name,
            "priority": one.priority,
        }
        for one in columns
    ]
    rows = [{"cells": [one.cell(item) for one in columns], "object": _partial(item)} for item in items]
    table = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
    return {**table, "columnDefinitions": definitions, "rows": rows}


def _partial(item: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def _name(item: Object) -> str:
    return item["metadata"]["name"]


def duration(seconds: float) -> str:
    """Return a time span as kubectl writes short ones."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    if whole < 3600 * 3:
        return f"{whole // 60}m" + (f"{whole % 60}s" if whole < 600 and whole % 60 else "")
    return f"{whole // 3600}h"


def _between(start: str, end: str | None = None) -> str:
    first = datetime.fromisoformat(start)
    last = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return duration((last - first).total_seconds())


def _age(item: Object) -> str:
    return _between(item["metadata"]["creationTimestamp"])


def _container(pod: Object) -> Object:
    return (pod["status"].get("containerStatuses") or [{}])[0]


def _pod_status(pod: Object) -> str:
    """Return the word in the column STATUS, which is no phase."""
    state = _container(pod).get("state", {})
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    reason = state.get("waiting", {}).get("reason") or state.get("terminated", {}).get("reason")
    return reason or pod["status"].get("reason") or pod["status"].get("phase", "")


def _job_status(job: Object) -> str:
    true = {one["type"] for one in job["status"].get("conditions") or () if one["status"] == "True"}
    for condition, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if condition in true:
            return word
    if "deletionTimestamp" in job["metadata"]:
        return "Terminating"
    for condition, word in (
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ):
        if condition in true:
            return word
    return "Running"


def _job_duration(job: Object) -> str:
    start = job["status"].get("startTime")
    return _between(start, job["status"].get("completionTime")) if start else ""


_NAME, _AGE = Column("Name", _name), Column("Age", _age)
_PLAIN = (_NAME, _AGE)
_COLUMNS = {
    "pods": (
        _NAME,
        Column("Ready", lambda pod: f"{int(_container(pod).get('ready', False))}/{len(pod['spec']['containers'])}"),
        Column("Status", _pod_status),
        Column("Restarts", lambda _: "0"),
        _AGE,
        Column("IP", lambda pod: pod["status"].get("podIP", "<none>"), 1),
        Column("Node", lambda pod: pod["spec"].get("nodeName", "<none>"), 1),
        Column("Nominated Node", lambda _: "<none>", 1),
        Column("Readiness Gates", lambda _: "<none>", 1),
    ),
    "jobs": (
        _NAME,
        Column("Status", _job_status),
        Column("Completions", lambda job: f"{job['status'].get('succeeded', 0)}/{job['spec']['completions']}"),
        Column("Duration", _job_duration),
        _AGE,
    ),
    "events": (
        Column("Last Seen", lambda event: _between(event["lastTimestamp"])),
        Column("Type", lambda event: event["type"]),
        Column("Reason", lambda event: event["reason"]),
        Column("Object", lambda event: f"{event['involvedObject']['kind'].lower()}/{event['involvedObject']['name']}"),
        Column("Message", lambda event: event["message"]),
    ),
    "secrets": (
        _NAME,
        Column("Type", lambda one: one["type"]),
        Column("Data", lambda one: str(len(one.get("data") or ()))),
        _AGE,
    ),
    "configmaps": (
        _NAME,
        Column("Data", lambda one: str(len(one.get("data") or ()) + len(one.get("binaryData") or ()))),
        _AGE,
    ),
    "namespaces": (_NAME, Column("Status", lambda one: one["status"]["phase"]), _AGE),
    "services": (
        _NAME,
        Column("Type", lambda one: one["spec"]["type"]),
        Column("Cluster-IP", lambda one: one["spec"]["clusterIP"]),
        Column("External-IP", lambda _: "<none>"),
        Column("Port(s)", lambda _: "<none>"),
        _AGE,
    ),
}
