# SPDX-License-Identifier: Apache-2.0
"""
The stable error codes that come out of roles and madctl alike, with the exit code each leads to.

Exit codes: 3 a check failed, 4 a node was unreachable, 5 the start failed, 6 the job failed, 7 a
node was lost, 8 timed out, 130 interrupted. Private to the collection.
"""

from __future__ import annotations

from typing import List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Problem

__all__ = ["UNREACHABLE", "Problem", "exit_code", "line", "problem"]

UNREACHABLE = {"HOST_UNREACHABLE", "HOST_KEY_UNKNOWN", "HOST_KEY_CHANGED", "AUTHENTICATION_FAILED", "HOST_UNRESOLVED"}
_EXIT = {
    "START_FAILED": 5,
    "NODE_NOT_READY": 5,
    "CHANNEL_FAILED": 5,
    "DAEMON_NOT_READY": 5,
    "RANK_FAILED": 6,
    "COMMAND_FAILED": 6,
    "MODEL_FAILED": 6,
    "RANKS_MISSING": 6,
    "WORLD_DIFFERS": 6,
    "RUN_UNKNOWN": 2,
    "WORK_IS_LAUNCHER": 2,
    "DEST_IN_USE": 2,
    "NODE_LOST": 7,
    "NODE_REBOOTED": 7,
    "PROTOCOL_ERROR": 7,
    "SUPERVISOR_LOST": 7,
    "TIMED_OUT": 8,
    "LEFT_BEHIND": 9,
    "INTERRUPTED": 130,
    "RUN_STOPPED": 130,
}


def problem(
    code: str,
    host: Optional[str],
    message: str,
    remedy: Optional[str] = None,
    hint: Optional[str] = None,
) -> Problem:
    """
    Write one problem as plain data; without a remedy of its own it gets the usual one of its code.

    Message and remedy may quote what a node said, and end up on a screen whoever prints them.

    Args:
        hint: How to look at the node by hand, for the usual remedy.
    """
    remedy = remedy or catalog.remedy_of(code, hint)
    return {"code": code, "host": host, "message": plain(message), "remedy": remedy and plain(remedy)}


def exit_code(problems: List[Problem]) -> int:
    """Choose the exit code: 4 beats all others, else the first problem decides; unknown codes are checks."""
    if any(entry["code"] in UNREACHABLE for entry in problems):
        return 4
    return _EXIT.get(problems[0]["code"], 3) if problems else 0


def line(entry: Problem) -> str:
    """Write one problem as a role's message: code first, then host, cause and remedy."""
    where = entry["host"] + ": " if entry["host"] else ""
    remedy = "; " + entry["remedy"] if entry["remedy"] else ""
    return plain("%s: %s%s%s" % (entry["code"], where, entry["message"], remedy))
