# SPDX-License-Identifier: Apache-2.0
"""Recognise names of hosts, and guess what people mean by invalid ones. Pure; private to the collection."""

from __future__ import annotations

import ipaddress
import re
from typing import Optional

_LONGEST = 253
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}")
# What people write for a range: gpu01-16, gpu01-gpu16, gpu{01..16}, gpu[01:16].
_RANGELIKE = re.compile(
    r"([A-Za-z0-9._-]*[A-Za-z._-])[\[({]?([0-9]{1,9})(?:-|\.\.|:)(?:\1)?([0-9]{1,9})[\])}]?([A-Za-z._-][A-Za-z0-9._-]*)?"
)


def is_name(text: str) -> bool:
    """Return whether a text is a valid name or address of a host, and nothing else."""
    return bool(NAME.fullmatch(text)) or is_ipv6(text)


def is_ipv6(text: str) -> bool:
    """Return whether a text is an IPv6 address, perhaps with a zone."""
    address, percent, zone = text.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return not percent or bool(_ZONE.fullmatch(zone))


def meant(text: str) -> Optional[str]:
    """Return the list that a text probably means; None if there is no good guess."""
    words = text.split()
    if len(words) > 1 and all(map(is_name, words)):
        return ",".join(words)
    found = _RANGELIKE.fullmatch(text) if len(text) <= _LONGEST else None
    if not found:
        return None
    before, first, last, after = found.groups("")
    is_range = int(first) < int(last) and (len(first) == len(last) or first[0] != "0")
    return "%s[%s-%s]%s" % (before, first, last, after) if is_range else None


def did_you_mean(text: str) -> Optional[str]:
    """Return the question whether a list was meant; None if there is no good guess."""
    guess = meant(text)
    return None if guess is None else "did you mean %s?" % guess
