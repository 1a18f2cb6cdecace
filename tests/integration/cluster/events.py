# SPDX-License-Identifier: Apache-2.0
"""Events: what the parts of a cluster say about objects, for people."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from tests.integration.cluster.store import Store, now

Object = dict[str, Any]
AGAIN_SECONDS = 10


def record(store: Store, about: Object, source: str, reason: str, message: str, is_warning: bool = False) -> None:
    """Say something about an object; the same words again are counted, but not those of the last seconds."""
    meta = about["metadata"]
    for event in store.list("events", meta["namespace"]):
        if (event["involvedObject"]["uid"], event["reason"], event["message"]) == (meta["uid"], reason, message):
            # An event is a change, too, and whoever says something at each change would never end.
            if (datetime.now(UTC) - datetime.fromisoformat(event["lastTimestamp"])).total_seconds() > AGAIN_SECONDS:
                store.edit("events", event, _again)
            return
    store.create("events", _event(about, source, reason, message, "Warning" if is_warning else "Normal"))


def _again(event: Object) -> None:
    event["count"] += 1
    event["lastTimestamp"] = now()


def _event(about: Object, source: str, reason: str, message: str, kind: str) -> Object:
    meta, at = about["metadata"], now()
    names = {"kind": about["kind"], "apiVersion": about["apiVersion"], "name": meta["name"], "uid": meta["uid"]}
    return {
        "metadata": {"name": f"{meta['name']}.{uuid.uuid4().hex[:16]}", "namespace": meta["namespace"]},
        "involvedObject": {**names, "namespace": meta["namespace"]},
        "reason": reason,
        "message": message,
        "source": {"component": source},
        "reportingComponent": source,
        "reportingInstance": "",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "eventTime": None,
        "count": 1,
        "type": kind,
    }
