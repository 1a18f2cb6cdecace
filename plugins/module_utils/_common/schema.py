# SPDX-License-Identifier: Apache-2.0
"""
Say what data of somebody who is not trusted has to look like, and check it.

A shape is a function that tells whether a value, as JSON gives it, has it. Everything has a bound: no
number is without end, no text and no list is longer than said. Pure; delivered beside the supervisor as
well; private to the collection.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Optional, Pattern

Shape = Callable[[Any], bool]

# Times in seconds; numbers that every reader of JSON keeps exactly.
LAST_SECOND, MOST = 1 << 33, 1 << 53
# Bytes that are no text come as these, U+DC80 to U+DCFF; the others of their kind are nothing at all.
_NO_CHARACTER = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def anything(_: Any) -> bool:
    """Tell that it may be whatever it is."""
    return True


def truth(value: Any) -> bool:
    """Tell whether it is true or false, and no number."""
    return type(value) is bool


def second(value: Any) -> bool:
    """Tell whether it is a moment of a clock, right or wrong."""
    return type(value) in (int, float) and 0 <= value < LAST_SECOND


def whole(low: int = 0, high: int = MOST) -> Shape:
    """Make the shape of whole numbers."""
    return lambda value: type(value) is int and low <= value <= high


def number(low: float = 0, high: float = MOST) -> Shape:
    """Make the shape of finite numbers."""
    return lambda value: type(value) in (int, float) and low <= value <= high


def text(most: int = 4096) -> Shape:
    """Make the shape of texts; where they are shown is where control characters are taken out."""
    return lambda value: type(value) is str and len(value) <= most and not _NO_CHARACTER.search(value)


def cut(value: str, most: int = 4096) -> str:
    """Make a text have the shape of one."""
    return _NO_CHARACTER.sub("?", value[:most])


def like(pattern: Pattern[str]) -> Shape:
    """Make the shape of texts that match a pattern as a whole."""
    return lambda value: type(value) is str and pattern.fullmatch(value) is not None


def one_of(*texts: str) -> Shape:
    """Make the shape of certain words."""
    return lambda value: type(value) is str and value in texts


def maybe(shape: Shape) -> Shape:
    """Make the shape of what may be null as well."""
    return lambda value: value is None or shape(value)


def listed(shape: Shape, most: int) -> Shape:
    """Make the shape of lists."""
    return lambda value: type(value) is list and len(value) <= most and all(map(shape, value))


def mapped(shape: Shape, most: int, keys: Optional[Shape] = None) -> Shape:
    """Make the shape of objects with keys that nobody knows before."""
    named = keys or text(256)
    return lambda value: (
        type(value) is dict and len(value) <= most and all(map(named, value)) and all(map(shape, value.values()))
    )


def fields(required: Dict[str, Shape], optional: Optional[Dict[str, Shape]] = None) -> Shape:
    """Make the shape of objects with certain keys; others may be there, and nobody should read them."""
    more = optional or {}

    def check(value: Any) -> bool:
        return (
            type(value) is dict
            and all(name in value and shape(value[name]) for name, shape in required.items())
            and all(shape(value[name]) for name, shape in more.items() if name in value)
        )

    return check
