# SPDX-License-Identifier: Apache-2.0
"""The state of a run, in words: a line, or a few words of a table. Pure; private to the collection."""

from __future__ import annotations

import time
from typing import Any, Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count, fold

RUNNING = "running"
SUSPENDED = "suspended"
GOING = ("queued", RUNNING, SUSPENDED)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_FEW = 60  # characters of a cause in a table


def duration(seconds: float) -> str:
    """Format a duration with as many digits as people read: ``3.2 s``, ``43 s``, ``12 min``."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return "%.1f s" % seconds
    if seconds < 2 * _MINUTE:
        return "%.0f s" % seconds
    if seconds < 2 * _HOUR:
        return "%.0f min" % (seconds / _MINUTE)
    if seconds < 2 * _DAY:
        return "%d h %d min" % (seconds // _HOUR, seconds % _HOUR // _MINUTE)
    return "%d d %d h" % (seconds // _DAY, seconds % _DAY // _HOUR)


def whole(run: Mapping[str, Any]) -> str:
    """
    Format the verdict on a run as a line.

    Args:
        run: ``status``, ``cause``, ``duration_seconds``, and further known facts: ``attempts``, ``ranks_joined``,
            ``world_size``, ``silent`` (hosts that did not answer).
    """
    status, cause, seconds = run["status"], run.get("cause"), run.get("duration_seconds")
    if status == "unknown":
        return plain("unknown: %s" % (cause or "its nodes do not say how it ended"))
    goes = status in GOING and status != SUSPENDED
    took = "" if seconds is None else " %s %s" % ("for" if goes else "after", duration(seconds))
    parts = [_word(run) + took]
    if (run.get("attempts") or 1) > 1:
        parts.append("attempt %d" % run["attempts"])
    if status == RUNNING and run.get("ranks_joined") is not None:
        parts.append("%d of %s joined" % (run["ranks_joined"], count(run["world_size"], "rank")))
    failing = "; already failed: %s" if status == RUNNING else ": %s"
    silent = "; no answer from %s" % fold(run["silent"]) if status == RUNNING and run.get("silent") else ""
    return plain(", ".join(parts) + (failing % cause if cause else "") + silent)


def _word(run: Mapping[str, Any]) -> str:
    """Return the word with which a launch reports the state of a run."""
    is_late = run["status"] == "failed" and run.get("exit_code") == ExitCode.TIMED_OUT
    return "timed out" if is_late else str(run["status"])


def brief(run: Mapping[str, Any]) -> str:
    """Format the verdict on a run in a few words; ``as_of`` is when it was last known to run."""
    cause, as_of = run.get("cause"), run.get("as_of")
    text = "%s: %s" % (_word(run), cause) if cause else _word(run)
    if as_of is not None:
        text = "%s (as of %s)" % (text, _clock(as_of))
    return text if len(text) <= _FEW else text[: _FEW - 1] + "…"


def took(run: Mapping[str, Any]) -> str:
    """Format how long a run took, or has been running."""
    seconds = run.get("duration_seconds")
    return "-" if seconds is None else duration(seconds)


def _clock(at: float) -> str:
    """Format a time; leave out the day if it is today."""
    moment, today = time.localtime(at), time.localtime()
    return time.strftime("%H:%M" if moment[:3] == today[:3] else "%Y-%m-%d %H:%M", moment)
