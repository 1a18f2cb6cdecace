# SPDX-License-Identifier: Apache-2.0
"""Amounts as manifests write them: ``500m``, ``8``, ``64Gi``, ``1e3``."""

from __future__ import annotations

import re
from decimal import Decimal

_BINARY = {unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL = {unit: Decimal(10) ** power for unit, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18))}
_UNITS = {"": Decimal(1), **_BINARY, **_DECIMAL}
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([EPTGMK]i|[numkMGTPE]|[eE][+-]?\d+)?")


def is_quantity(text: str | int | float) -> bool:
    """Return whether a text can be read as an amount."""
    return _QUANTITY.fullmatch(str(text)) is not None


def amount(text: str | int | float) -> Decimal:
    """Return an amount as a number."""
    found = _QUANTITY.fullmatch(str(text))
    assert found, text
    unit = found[2] or ""
    if unit in _UNITS:
        return Decimal(found[1]) * _UNITS[unit]
    return Decimal(found[1]) * Decimal(10) ** int(unit[1:])
