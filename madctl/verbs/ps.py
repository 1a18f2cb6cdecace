# SPDX-License-Identifier: Apache-2.0
"""List runs."""

from __future__ import annotations

from madctl.errors import Problem
from madctl.playbook import living
from madctl.records import record_store
from madctl.records.run_record import Record


def remembered(most: int | None, failed: bool) -> tuple[list[Record], list[Problem]]:
    """
    Return the recorded runs in their current state, newest first, and the problems with unreadable records.

    Args:
        most: How many are wanted.
        failed: Whether only failed runs are wanted; then all runs have to be queried.
    """
    records, broken = record_store.known()
    records.reverse()
    # Do not query the nodes of runs that are left out.
    return living.asked(records if failed else records[:most]), broken
