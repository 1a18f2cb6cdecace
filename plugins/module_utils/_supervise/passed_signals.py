# SPDX-License-Identifier: Apache-2.0
"""
Pass a user's signal on to the programs of a node, as a scheduler sends it to the programs that it has started.

Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import os
from typing import Any, Dict

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_signals
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes

RANKS = "ranks"


def pass_on(supervisor: Any, message: Dict[str, Any]) -> None:
    """
    Send a signal to every rank that has joined, or to the command, unless they were told to end.

    Args:
        message: ``signal``, its number, and ``to``: ``ranks``, or anything else for the command.
    """
    number, pids = message["signal"], supervisor.runners.pids()
    if message.get("to") == RANKS:
        # Any process of the job can claim to be a rank.
        ours = processes.descendants(os.getpid())
        pids = [entry["pid"] for entry in supervisor.ranks.joined.values() if entry["pid"] in ours]
    if supervisor.state == "running" and type(number) is int and number in job_signals.FOR_RANKS:
        processes.send(pids, number)
