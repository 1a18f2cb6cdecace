# SPDX-License-Identifier: Apache-2.0
"""Read a mapping that a person wrote as JSON or as a Python literal. Pure; private to the collection."""

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
    Read a text; what comes out can be written as JSON again.

    Raises:
        ValueError: If it is none, or holds what JSON has no word for.
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
    raise ValueError("it is no mapping, neither as Python nor as JSON")


def _evaluated(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a backslash that means nothing
        return ast.literal_eval(text)


def _require_data(found: Any) -> None:
    """Look at every part, without recursion: what can be parsed can be deep."""
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if type(value) not in _TYPES:
            raise ValueError("it holds a %s" % type(value).__name__)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("it holds a number that is not finite")
        if isinstance(value, dict):
            _require_texts(value)
            waiting += list(value) + list(value.values())
        elif isinstance(value, (list, tuple)):
            waiting += value
        elif isinstance(value, str):
            _require_characters(value)
    try:
        json.dumps(found)
    except (RecursionError, ValueError) as error:
        raise ValueError("it is too deep") from error


def _require_texts(keys: Any) -> None:
    odd = [key for key in keys if not isinstance(key, str)]
    if odd:
        raise ValueError("its key %r is not a text" % (odd[0],))


def _require_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a character") from error
    if "\0" in text:
        raise ValueError("it holds a NUL character")
