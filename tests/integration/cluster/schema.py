# SPDX-License-Identifier: Apache-2.0
"""What the API server cannot decode: fields of the wrong type, and fields that it does not know, by its published schemas."""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import jsonschema
from kubernetes_validate import utils as published
from referencing import Registry, Resource

from tests.integration.cluster.quantity import is_quantity

Object = dict[str, Any]
_JSON_NAMES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


@functools.cache
def _validator(kind: str, api_version: str, version: str) -> Any:
    directory = f"kubernetes-json-schema/v{version}.0-local-strict"
    name = f"{kind.lower()}-{api_version.replace('/', '-')}.json"
    schema = published.schema_contents(f"{directory}/{name}", version)
    definitions = published.schema_contents(f"{directory}/_definitions.json", version)
    registry: Any = Resource.from_contents(definitions) @ (Resource.from_contents(schema) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


def wrong_types(value: Object, version: str) -> list[str]:
    """Return what cannot be decoded, as the server's decoder says it."""
    found = []
    for error in _errors(value, version):
        if error.validator == "type":
            wanted = next(name for name in _names(error.validator_value) if name != "null")
            what = _JSON_NAMES.get(type(error.instance), "null")
            path = ".".join(str(part) for part in error.absolute_path if isinstance(part, str))
            found.append(f"json: cannot unmarshal {what} into Go struct field {value['kind']}.{path} of type {wanted}")
    return found + list(_unreadable(value))


def _names(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else types


def unknown_fields(value: Object, version: str) -> list[tuple[str | int, ...]]:
    """Return the paths of fields that the server does not know."""
    return [
        (*error.absolute_path, name)
        for error in _errors(value, version)
        if error.validator == "additionalProperties"
        for name in error.instance
        if name not in error.schema.get("properties", {})
    ]


def _errors(value: Object, version: str) -> Iterable[Any]:
    return _validator(value["kind"], value["apiVersion"], version).iter_errors(value)


def written(path: Iterable[str | int]) -> str:
    """Return a path as errors write it."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def without(value: Object, paths: Iterable[tuple[str | int, ...]]) -> Object:
    """Take fields out of an object, in place."""
    for *way, last in paths:
        place: Any = value
        for part in way:
            place = place[part]
        place.pop(last, None)
    return value


def without_nulls(value: Any) -> Any:
    """Return a value without fields that are null, which are as good as absent."""
    if isinstance(value, dict):
        return {name: without_nulls(part) for name, part in value.items() if part is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def _unreadable(value: Object) -> Iterator[str]:
    """Yield what has the right type in JSON, and is refused all the same while it is decoded."""
    if value["kind"] == "Secret" or "binaryData" in value:
        for data in (value.get("binaryData"), value.get("data") if value["kind"] == "Secret" else None):
            for text in (data or {}).values():
                try:
                    base64.b64decode(text, validate=True)
                except (binascii.Error, TypeError, ValueError):
                    yield "illegal base64 data at input byte 0"
    for amount in _quantities(value):
        if not is_quantity(amount):
            expression = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
            yield f"quantities must match the regular expression '{expression}'"


def _quantities(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _quantities(item)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name in ("limits", "requests") and isinstance(part, dict):
                yield from part.values()
            elif name == "emptyDir" and isinstance(part, dict) and part.get("sizeLimit") is not None:
                yield part["sizeLimit"]
            else:
                yield from _quantities(part)
