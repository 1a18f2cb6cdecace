# SPDX-License-Identifier: Apache-2.0
"""Which objects a selector means: of labels, as users write them, and of the few fields that servers know."""

from __future__ import annotations

import re
from typing import Any

from tests.integration.cluster import status

Object = dict[str, Any]
_SET = re.compile(r"(?P<key>\S+)\s+(?P<word>in|notin)\s*\((?P<values>[^)]*)\)")
_FIELDS = {
    "metadata.name": lambda value: value["metadata"]["name"],
    "metadata.namespace": lambda value: value["metadata"].get("namespace", ""),
    "status.phase": lambda value: value.get("status", {}).get("phase", ""),
    "spec.nodeName": lambda value: value.get("spec", {}).get("nodeName", ""),
    "involvedObject.name": lambda value: value.get("involvedObject", {}).get("name", ""),
    "involvedObject.namespace": lambda value: value.get("involvedObject", {}).get("namespace", ""),
    "involvedObject.kind": lambda value: value.get("involvedObject", {}).get("kind", ""),
    "involvedObject.uid": lambda value: value.get("involvedObject", {}).get("uid", ""),
    "reason": lambda value: value.get("reason", ""),
    "type": lambda value: value.get("type", ""),
}


def labels_match(selector: str, labels: dict[str, str]) -> bool:
    """Return whether labels meet all requirements of a selector."""
    return all(_meets(part.strip(), labels) for part in re.split(r",(?![^(]*\))", selector) if part.strip())


def _meets(part: str, labels: dict[str, str]) -> bool:
    found = _SET.fullmatch(part)
    if found:
        values = {value.strip() for value in found["values"].split(",")}
        return (labels.get(found["key"]) in values) == (found["word"] == "in")
    for sign, wanted in (("!=", False), ("==", True), ("=", True)):
        if sign in part:
            key, value = (text.strip() for text in part.split(sign, 1))
            return (labels.get(key) == value) == wanted
    return part[1:].strip() not in labels if part.startswith("!") else part in labels


def fields_match(selector: str, value: Object) -> bool:
    """
    Return whether an object meets a selector of fields.

    Raises:
        StatusError: If the server knows no such field.
    """
    for part in filter(None, selector.split(",")):
        sign = "!=" if "!=" in part else "==" if "==" in part else "="
        field, wanted = part.split(sign, 1)
        if field not in _FIELDS:
            raise status.bad_request(f"field label not supported: {field}")
        if (_FIELDS[field](value) == wanted) == (sign == "!="):
            return False
    return True


def of(query: dict[str, str]):
    """Return the predicate that a request asks for."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    fields_match(fields, {"metadata": {"name": ""}})
    return lambda value: labels_match(labels, value["metadata"].get("labels") or {}) and fields_match(fields, value)
