# SPDX-License-Identifier: Apache-2.0
"""Read whole numbers that people typed. Pure; private to the collection."""

from __future__ import annotations

from typing import Optional

_DIGITS = 18  # Python refuses to read some thousands.


def number(text: str, least: int, most: int) -> Optional[int]:
    """Read a number of ASCII digits alone, or give None where it is another text or out of bounds."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return None
    return int(text) if least <= int(text) <= most else None
