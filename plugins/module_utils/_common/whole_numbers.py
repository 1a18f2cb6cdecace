# SPDX-License-Identifier: Apache-2.0
"""Parse whole numbers that users typed. Pure; private to the collection."""

from __future__ import annotations

from typing import Optional

_DIGITS = 18  # Python refuses to parse thousands of digits.


def number(text: str, least: int, most: int) -> Optional[int]:
    """Parse a number of ASCII digits alone; None where it is another text or out of bounds."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return None
    return int(text) if least <= int(text) <= most else None
