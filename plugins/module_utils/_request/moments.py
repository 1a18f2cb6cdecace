# SPDX-License-Identifier: Apache-2.0
"""Parse moments as people write them. Pure; private to the collection."""

from __future__ import annotations

import datetime
import re
from typing import Optional, Union

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGO = re.compile(r"([0-9]{1,9}(\.[0-9]*)?|\.[0-9]+)[smhd]")


def since(text: Optional[str], now: float) -> Union[float, str, None]:
    """
    Parse where logs should begin.

    Args:
        text: ``now`` is their end; ``30s``, ``10m``, ``2h``, ``1d`` are that long ago; otherwise a time such as
            ``2026-11-23T10:00`` of this machine's clock.
        now: Seconds since the epoch.

    Returns:
        Seconds since the epoch, ``end``, or None for the first byte.

    Raises:
        ValueError: If it is none of these.
    """
    if text is None:
        return None
    if text == "now":
        return "end"
    if _AGO.fullmatch(text):
        return now - float(text[:-1]) * UNITS[text[-1]]
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except OverflowError as error:
        raise ValueError(str(error)) from error
