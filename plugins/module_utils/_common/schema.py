# SPDX-License-Identifier: Apache-2.0
"""
Define and check the shape of untrusted data.

A shape is a function that returns whether a value from JSON has it. Numbers, texts and lists are always bounded. Pure;
delivered beside the supervisor as well; private to the collection.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Optional, Pattern

Shape = Callable[[Any], bool]

# Times in seconds; numbers that every reader of JSON keeps exact.
LAST_SECOND, MOST = 1 << 33, 1 << 53
# U+DC80 to U+DCFF stand for undecodable bytes; other surrogates are invalid.
_NO_CHARACTER = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def anything(_: Any) -> bool:
    """Accept any value."""
    return True


def truth(value: Any) -> bool:
    """Return whether it is true or false, and not a number."""
    return type(value) is bool


def second(value: Any) -> bool:
    """Return whether it is a time of a clock, right or wrong."""
    return type(value) in (int, float) and 0 <= value < LAST_SECOND


def whole(low: int = 0, high: int = MOST) -> Shape:
    """Return the shape of whole numbers."""
    return lambda value: type(value) is int and low <= value <= high


def number(low: float = 0, high: float = MOST) -> Shape:
    """Return the shape of finite numbers."""
    return lambda value: type(value) in (int, float) and low <= value <= high


def text(most: int = 4096) -> Shape:
    """Return the shape of texts, whose control characters are only removed where they are printed."""
    return lambda value: type(value) is str and len(value) <= most and not _NO_CHARACTER.search(value)


def cut(value: str, most: int = 4096) -> str:
    """Cut a text to what its shape allows."""
    return _NO_CHARACTER.sub("?", value[:most])


def like(pattern: Pattern[str]) -> Shape:
    """Return the shape of texts that match a pattern as a whole."""
    return lambda value: type(value) is str and pattern.fullmatch(value) is not None


def either(*shapes: Shape) -> Shape:
    """Return the shape of values that have one of several shapes."""
    return lambda value: any(shape(value) for shape in shapes)


def one_of(*texts: str) -> Shape:
    """Return the shape of certain words."""
    return lambda value: type(value) is str and value in texts


def maybe(shape: Shape) -> Shape:
    """Return the shape of values that may also be null."""
    return lambda value: value is None or shape(value)


def listed(shape: Shape, most: int, least: int = 0) -> Shape:
    """Return the shape of lists."""
    return lambda value: type(value) is list and least <= len(value) <= most and all(map(shape, value))


def mapped(shape: Shape, most: int, keys: Optional[Shape] = None) -> Shape:
    """Return the shape of objects with unknown keys."""
    named = keys or text(256)
    return lambda value: (
        type(value) is dict and len(value) <= most and all(map(named, value)) and all(map(shape, value.values()))
    )


def fields(required: Dict[str, Shape], optional: Optional[Dict[str, Shape]] = None) -> Shape:
    """Return the shape of objects with certain keys; others are allowed, but must not be read."""
    more = optional or {}

    def check(value: Any) -> bool:
        return (
            type(value) is dict
            and all(name in value and shape(value[name]) for name, shape in required.items())
            and all(shape(value[name]) for name, shape in more.items() if name in value)
        )

    return check
