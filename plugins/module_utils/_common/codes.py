# SPDX-License-Identifier: Apache-2.0
"""
The stable error codes of roles and madctl, and the exit code of each.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Problem as Problem

UNREACHABLE = {
    *("HOST_UNREACHABLE", "HOST_KEY_UNKNOWN", "HOST_KEY_CHANGED", "AUTHENTICATION_FAILED", "HOST_UNRESOLVED"),
    "SCHEDULER_UNREACHABLE",
}
# How the job itself fails on a node. The other nodes fail after it, because they lost a peer or were all stopped.
JOB_CODES = ("RANK_FAILED", "COMMAND_FAILED", "MODEL_FAILED", "WORLD_DIFFERS")
# Failures that the last lines of the rank or the runner explain, including a failed start, and daemons that did not
# connect.
WITH_LAST_LINES = (*JOB_CODES, "START_FAILED", "DAEMON_NOT_READY")
# After one of these, a node can neither take part in a restart nor be read.
LOST = ("NODE_LOST", "NODE_REBOOTED", "PROTOCOL_ERROR")
# Failures that a restart may avoid; a job that makes a separate world does so every time.
RESTARTABLE = (
    *LOST,
    *(code for code in JOB_CODES if code != "WORLD_DIFFERS"),
    *("SUPERVISOR_LOST", "RANKS_MISSING"),
)
_EXIT = {
    code: exit_code
    for exit_code, codes in {
        ExitCode.START_FAILED: ("START_FAILED", "NODE_NOT_READY", "CHANNEL_FAILED", "DAEMON_NOT_READY"),
        ExitCode.JOB_FAILED: (*JOB_CODES, "RANKS_MISSING"),
        ExitCode.USAGE: (
            *("USAGE", "RUN_UNKNOWN", "RUN_HOST_UNKNOWN", "WORK_IS_LAUNCHER", "DEST_IN_USE"),
            *("SCHEDULER_REFUSED", "SCHEDULER_MISSING", "SYNC_REFUSED", "SYNC_TOO_LARGE", "SYNC_UNREADABLE"),
        ),
        ExitCode.NODE_LOST: (*LOST, "SUPERVISOR_LOST", "RUN_PREEMPTED"),
        ExitCode.TIMED_OUT: ("TIMED_OUT",),
        ExitCode.STOP_UNVERIFIED: ("LEFT_BEHIND",),
        ExitCode.INTERRUPTED: ("INTERRUPTED", "RUN_STOPPED"),
    }.items()
    for code in codes
}
_CAUSE = 400  # characters
# Where a command only queries nodes.
_ASKED = {"DEST_IN_USE": ExitCode.USAGE, "STOP_UNVERIFIED": ExitCode.STOP_UNVERIFIED}


def problem(
    code: str,
    host: Optional[str],
    message: str,
    remedy: Optional[str] = None,
    hint: Optional[str] = None,
) -> Problem:
    """
    Return one problem as plain data, by default with the usual remedy of its code.

    Message and remedy may quote a node, and are printed by many programs, so they are made safe here.

    Args:
        hint: How to inspect the node by hand, for the usual remedy.
    """
    remedy = remedy or catalog.remedy_of(code, hint)
    return {"code": code, "host": host, "message": plain(message), "remedy": remedy and plain(remedy)}


def setup_failed(host: str, reason: str) -> Problem:
    """Return the problem of a node whose setup failed, with the remedy that its end suggests."""
    is_unknown = "exit code 127:" in reason
    remedy = "if it is a function of login shells, such as module: --login-shell" if is_unknown else None
    return problem("SETUP_FAILED", host, reason, remedy)


def exit_code(problems: Sequence[Problem]) -> ExitCode:
    """Return the exit code for problems."""
    return exit_code_of([entry["code"] for entry in problems])


def exit_code_of(codes: Sequence[str]) -> ExitCode:
    """Return the exit code: that of an unreachable node, otherwise of the first problem; unknown codes are checks."""
    if UNREACHABLE.intersection(codes):
        return ExitCode.UNREACHABLE
    return _EXIT.get(codes[0], ExitCode.CHECK_FAILED) if codes else ExitCode.SUCCEEDED


def has_exit_code(code: str) -> bool:
    """Return whether a code decides how a launch exits: a warning does not, nor what other commands alone report."""
    return code in UNREACHABLE or code in _EXIT or code in catalog.CHECK_OF and not catalog.is_warning(code)


def answer_code(codes: Sequence[str]) -> ExitCode:
    """Return the exit code of a command that only queries nodes: it counts one that does not answer as unreachable."""
    special = [_ASKED[code] for code in codes if code in _ASKED]
    return (special or [ExitCode.UNREACHABLE])[0] if codes else ExitCode.SUCCEEDED


def cause(entry: Mapping[str, Any]) -> str:
    """Format a problem as the cause of a failure: host, rank, and how it failed."""
    rank, text = entry.get("rank"), entry["message"]
    repeated = "rank %s failed: " % rank
    if rank is not None and text.startswith(repeated):
        text = text[len(repeated) :]
    who = " ".join([*([entry["host"]] if entry["host"] else []), *(["rank %s" % rank] if rank is not None else [])])
    return plain("%s: %s" % (who, text) if who else text)[:_CAUSE]


def line(entry: Mapping[str, Any]) -> str:
    """Format one problem as one line, the same in every entry point: host, cause, remedy, code."""
    where = "%s: " % entry["host"] if entry["host"] else ""
    remedy = "; %s" % entry["remedy"] if entry["remedy"] else ""
    return plain("%s%s%s [%s]" % (where, entry["message"], remedy, entry["code"]))
