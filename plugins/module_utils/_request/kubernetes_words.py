# SPDX-License-Identifier: Apache-2.0
"""
How the user's own words for Kubernetes are written: tolerations, volumes, resources, selectors of nodes, quantities.

Pure; private to the collection.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple, Optional, Tuple

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?", re.ASCII)
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    **{name: Fraction(1000 ** (at + 2)) for at, name in enumerate("MGTPE")},
    **{name + "i": Fraction(1024 ** (at + 1)) for at, name in enumerate("KMGTPE")},
}
_LONGEST_QUANTITY = 40  # characters


class Toleration(NamedTuple):
    """A taint of nodes that pods tolerate; with any value, or any effect, where there is None."""

    key: str
    value: Optional[str]
    effect: Optional[str]


class Volume(NamedTuple):
    """A persistent volume claim, and where containers see it."""

    claim: str
    path: str
    read_only: bool


def toleration(text: str) -> Toleration:
    """
    Parse ``KEY[=VALUE][:EFFECT]``.

    Raises:
        ValueError: If it is something else.
    """
    taint, colon, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    if not key or (colon and effect not in EFFECTS):
        raise ValueError(text)
    return Toleration(key, value if equals else None, effect or None)


def volume(text: str) -> Volume:
    """
    Parse ``CLAIM:PATH[:ro]``.

    Raises:
        ValueError: If it is something else.
    """
    claim, _, rest = text.partition(":")
    path, colon, mode = rest.partition(":")
    if not claim or not path or (colon and mode != "ro"):
        raise ValueError(text)
    return Volume(claim, path, mode == "ro")


def pair(text: str) -> Tuple[str, str]:
    """
    Parse ``NAME=VALUE``, of which the value may be empty.

    Raises:
        ValueError: If it is something else.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(text)
    return name, value


def quantity(text: str) -> Fraction:
    """
    Parse a quantity as Kubernetes writes it, such as 500m, 1.5, 64Gi or 1e3, but for negative ones.

    Raises:
        ValueError: If it is something else.
    """
    found = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST_QUANTITY else None
    if found is None:
        raise ValueError(text)
    number, suffix, exponent = found.groups()
    scale = _SUFFIXES[suffix] if suffix else Fraction(10) ** int(exponent or 0)
    return Fraction(number if number[-1] != "." else number[:-1]) * scale
