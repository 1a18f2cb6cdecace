# SPDX-License-Identifier: Apache-2.0
"""One attempt of a job that may be requeued: what it runs, and whether the scheduler ended it. Pure; private."""

from __future__ import annotations

import signal
from typing import Any, Dict, Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory


def arguments(given: Mapping[str, Any], restarts: int) -> Dict[str, Any]:
    """
    Return the arguments of a launch for an attempt of its job.

    Each attempt has its own id, because it may get the same nodes again; restarts within an attempt are numbered in
    between.
    """
    number = restarts * (given["max_restarts"] + 1)
    return {**given, "run_id": run_directory.later_attempt(given["run_id"], 0, number), "attempt": number}


def may_be_ended(result: Mapping[str, Any]) -> bool:
    """Return whether a run ended as if a scheduler had told its supervisors, or its ranks, to end."""
    first: Mapping[str, Any] = next(iter(result["problems"]), {})
    return first.get("code") == "RUN_STOPPED" or first.get("signal") == signal.SIGTERM
