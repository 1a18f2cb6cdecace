# SPDX-License-Identifier: Apache-2.0
"""The ways in which a client changes a part of an object."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import yaml

from tests.integration.cluster import status
from tests.integration.cluster.status import StatusError

Object = dict[str, Any]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"
# Lists that strategic patches and applies merge item by item, and by what.
_KEYS = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "conditions": "type",
    "ownerReferences": "uid",
}


def reader(content_type: str, body: bytes) -> Callable[[Object], Object]:
    """
    Return the change that a body describes.

    Raises:
        StatusError: If the server takes no such patches.
    """
    if content_type == JSON:
        steps = json.loads(body)
        return lambda value: _json_patch(copy.deepcopy(value), steps)
    if content_type == MERGE:
        patch = json.loads(body)
        return lambda value: merged(value, patch, {})
    if content_type in (STRATEGIC, APPLY):
        patch = yaml.safe_load(body)
        return lambda value: merged(value, patch, _KEYS)
    known = ", ".join((JSON, MERGE, APPLY, STRATEGIC))
    message = f"the body of the request was in an unknown format - accepted media types include: {known}"
    raise StatusError(415, "UnsupportedMediaType", message)


def merged(value: Any, patch: Any, keys: dict[str, str]) -> Any:
    """Return a value after a merge patch; None takes a field away, and lists of items with keys are merged."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(value) if isinstance(value, dict) else {}
    if "$retainKeys" in patch:
        result = {name: part for name, part in result.items() if name in patch["$retainKeys"]}
    for name, part in patch.items():
        before = result.get(name)
        if keys and name.startswith("$"):
            continue  # Directives of strategic patches; an order of elements changes nothing that is looked at.
        if part is None:
            result.pop(name, None)
        elif name in keys and isinstance(part, list) and isinstance(before, list):
            result[name] = _merged_items(before, part, keys[name], keys)
        else:
            result[name] = merged(before, part, keys)
    return result


def _merged_items(before: list[Object], patch: list[Object], key: str, keys: dict[str, str]) -> list[Object]:
    result = {item.get(key): item for item in before}
    for item in patch:
        if item.get("$patch") == "delete":
            result.pop(item.get(key), None)
        else:
            result[item.get(key)] = merged(result.get(item.get(key), {}), item, keys)
    return list(result.values())


def _json_patch(value: Any, steps: list[Object]) -> Any:
    for step in steps:
        *way, last = [word.replace("~1", "/").replace("~0", "~") for word in step["path"].split("/")[1:]]
        place = value
        try:
            for word in way:
                place = place[int(word)] if isinstance(place, list) else place[word]
            _one_step(place, last, step)
        except (KeyError, IndexError, ValueError) as error:
            raise status.StatusError(
                422, "Invalid", "the server rejected our request due to an error in our request"
            ) from error
    return value


def _one_step(place: Any, last: str, step: Object) -> None:
    key: Any = last
    if isinstance(place, list):
        key = len(place) if last == "-" else int(last)
    if step["op"] == "test":
        if place[key] != step["value"]:
            raise ValueError(step)
    elif step["op"] == "remove":
        del place[key]
    elif step["op"] == "add" and isinstance(place, list):
        place.insert(key, step["value"])
    elif step["op"] in ("add", "replace"):
        if step["op"] == "replace":
            place[key]  # It has to be there.
        place[key] = step["value"]
    else:
        raise ValueError(step)
