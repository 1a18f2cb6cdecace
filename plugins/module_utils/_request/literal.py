# SPDX-License-Identifier: Apache-2.0
"""Parse a mapping written by a person as JSON or as a Python literal. Pure; private to the collection."""

from __future__ import annotations

import ast
import json
import math
import warnings
from typing import Any, Dict

MOST_CHARACTERS = 1 << 20
_TYPES = (str, int, float, bool, list, tuple, dict, type(None))


def mapping(text: str) -> Dict[str, Any]:
    """
    Parse a text into data that JSON can express.

    Raises:
        ValueError: If it is not a mapping, or contains something that JSON cannot express.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError("it is longer than %d characters" % MOST_CHARACTERS)
    for parse in (json.loads, _evaluated):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if not isinstance(found, dict):
            break
        _require_data(found)
        return found
    raise ValueError("it is not a mapping in Python or JSON syntax")


def _evaluated(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a backslash without a meaning
        return ast.literal_eval(text)


def _require_data(found: Any) -> None:
    """Check every part, without recursion, because the data can be nested deeply."""
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if type(value) not in _TYPES:
            raise ValueError("it contains a %s" % type(value).__name__)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("it contains a number that is not finite")
        if isinstance(value, dict):
            odd = [key for key in value if not isinstance(key, str)]
            if odd:
                raise ValueError("its key %r is not a string" % (odd[0],))
            waiting += list(value) + list(value.values())
        elif isinstance(value, (list, tuple)):
            waiting += value
        elif isinstance(value, str):
            _require_characters(value)
    try:
        json.dumps(found)
    except (RecursionError, ValueError) as error:
        raise ValueError("it is nested too deeply") from error


def _require_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("it contains half a character") from error
    if "\0" in text:
        raise ValueError("it contains a NUL character")
