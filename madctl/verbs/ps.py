# SPDX-License-Identifier: Apache-2.0
"""List runs."""

from __future__ import annotations

from madctl.errors import Problem
from madctl.playbook import living
from madctl.records import record_store
from madctl.records.run_record import Record


def remembered(most: int | None, failed: bool) -> tuple[list[Record], list[Problem]]:
    """
    Return the runs that this machine remembers, the newest first, as they are now, and what could not be read.

    Args:
        most: How many are wanted.
        failed: Whether only those that failed are wanted; then any may be one.
    """
    records, broken = record_store.known()
    records.reverse()
    # The nodes of a run that is left out need not be asked.
    return living.asked(records if failed else records[:most]), broken
