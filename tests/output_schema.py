# SPDX-License-Identifier: Apache-2.0
"""What madctl prints as JSON, held against its published schema: nothing is missing, retyped or undocumented."""

import copy
import json
from pathlib import Path

import jsonschema

SCHEMA = json.loads((Path(__file__).parents[1] / "madctl/output.schema.json").read_text())
# It is a part of the whole, which is closed itself.
_OPEN = SCHEMA["$defs"]["result"]


def closed(schema):
    """Return the schema without the promise that properties may be added, for those of today are all documented."""
    found = copy.deepcopy({**schema, "$defs": {name: part for name, part in schema["$defs"].items() if part != _OPEN}})
    _close(found)
    found["$defs"]["result"] = _OPEN
    return found


def _close(part):
    if isinstance(part, dict):
        if "properties" in part:
            part["unevaluatedProperties"] = False
        for inner in part.values():
            _close(inner)
    elif isinstance(part, list):
        for inner in part:
            _close(inner)


_CLOSED = closed(SCHEMA)
_RESULT = jsonschema.Draft202012Validator(_CLOSED)
_LINE = jsonschema.Draft202012Validator({"$ref": "#/$defs/log_line", "$defs": _CLOSED["$defs"]})


def mistakes(result):
    """Return what is wrong with what a command printed, as data, with the place of each mistake."""
    return _told(_RESULT, result)


def mistakes_in_line(line):
    """Return what is wrong with a line of ``madctl logs --output jsonl``."""
    return _told(_LINE, line)


def _told(validator, data):
    errors = sorted(map(_deepest, validator.iter_errors(data)), key=lambda error: -len(error.absolute_path))
    # Where a part is wrong, the whole around it counts as undocumented, too.
    return [f"{error.json_path}: {error.message[:400]}" for error in errors][:3]


def _deepest(error):
    """Return the mistake in the alternative that fits best, where there are several."""
    while error.context:
        branches = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        found = min(branches.values(), key=lambda each: (len(each), -max(len(inner.absolute_path) for inner in each)))
        error = max(found, key=lambda inner: len(inner.absolute_path))
    return error
