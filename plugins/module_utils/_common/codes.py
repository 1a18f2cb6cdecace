# SPDX-License-Identifier: Apache-2.0
"""
The stable error codes that come out of roles and madctl alike, with the exit code each leads to.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Problem as Problem

UNREACHABLE = {"HOST_UNREACHABLE", "HOST_KEY_UNKNOWN", "HOST_KEY_CHANGED", "AUTHENTICATION_FAILED", "HOST_UNRESOLVED"}
# How the job itself fails on a node. After the first one these are consequences: a peer was lost, or all were stopped.
JOB_CODES = ("RANK_FAILED", "COMMAND_FAILED", "MODEL_FAILED", "WORLD_DIFFERS")
# What the last lines of the rank or the runner explain: also a start that failed, and daemons that did not come.
WITH_LAST_LINES = (*JOB_CODES, "START_FAILED", "DAEMON_NOT_READY")
# A node of these can neither take part again nor be read.
LOST = ("NODE_LOST", "NODE_REBOOTED", "PROTOCOL_ERROR")
# What need not happen again at a restart; a job that makes a world of its own does so every time.
RESTARTABLE = (
    *LOST,
    *(code for code in JOB_CODES if code != "WORLD_DIFFERS"),
    *("SUPERVISOR_LOST", "RANKS_MISSING"),
)
_EXIT = {
    "START_FAILED": ExitCode.START_FAILED,
    "NODE_NOT_READY": ExitCode.START_FAILED,
    "CHANNEL_FAILED": ExitCode.START_FAILED,
    "DAEMON_NOT_READY": ExitCode.START_FAILED,
    "RANK_FAILED": ExitCode.JOB_FAILED,
    "COMMAND_FAILED": ExitCode.JOB_FAILED,
    "MODEL_FAILED": ExitCode.JOB_FAILED,
    "RANKS_MISSING": ExitCode.JOB_FAILED,
    "WORLD_DIFFERS": ExitCode.JOB_FAILED,
    "RUN_UNKNOWN": ExitCode.USAGE,
    "WORK_IS_LAUNCHER": ExitCode.USAGE,
    "DEST_IN_USE": ExitCode.USAGE,
    "NODE_LOST": ExitCode.NODE_LOST,
    "NODE_REBOOTED": ExitCode.NODE_LOST,
    "PROTOCOL_ERROR": ExitCode.NODE_LOST,
    "SUPERVISOR_LOST": ExitCode.NODE_LOST,
    "TIMED_OUT": ExitCode.TIMED_OUT,
    "LEFT_BEHIND": ExitCode.STOP_UNVERIFIED,
    "INTERRUPTED": ExitCode.INTERRUPTED,
    "RUN_STOPPED": ExitCode.INTERRUPTED,
}
# Where a command only asks nodes.
_ASKED = {"DEST_IN_USE": ExitCode.USAGE, "STOP_UNVERIFIED": ExitCode.STOP_UNVERIFIED}


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


def exit_code(problems: Sequence[Problem]) -> ExitCode:
    """Return the exit code that problems lead to."""
    return exit_code_of([entry["code"] for entry in problems])


def exit_code_of(codes: Sequence[str]) -> ExitCode:
    """Choose the exit code: an unreachable node wins, else the first problem decides; unknown codes are checks."""
    if UNREACHABLE.intersection(codes):
        return ExitCode.UNREACHABLE
    return _EXIT.get(codes[0], ExitCode.CHECK_FAILED) if codes else ExitCode.SUCCEEDED


def answer_code(codes: Sequence[str]) -> ExitCode:
    """Return the exit code of a command that only asks nodes: one that does not answer is unreachable to it."""
    special = [_ASKED[code] for code in codes if code in _ASKED]
    return (special or [ExitCode.UNREACHABLE])[0] if codes else ExitCode.SUCCEEDED


def line(entry: Mapping[str, Any]) -> str:
    """Write one problem on one line, at every door the same: host, cause, remedy, code."""
    where = "%s: " % entry["host"] if entry["host"] else ""
    remedy = "; %s" % entry["remedy"] if entry["remedy"] else ""
    return plain("%s%s%s [%s]" % (where, entry["message"], remedy, entry["code"]))
