# SPDX-License-Identifier: Apache-2.0
"""The IDs of runs. Private to the collection."""

from __future__ import annotations

import secrets
import time


def new() -> str:
    """Return a new run ID; IDs sort by time and never collide."""
    return "%s-%s" % (time.strftime("%Y%m%d-%H%M%S"), secrets.token_hex(4))
