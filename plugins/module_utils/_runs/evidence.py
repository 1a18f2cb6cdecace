# SPDX-License-Identifier: Apache-2.0
"""
What one node knows about why its part of a run ended, for a verdict about the whole run. Private to the collection.

A job can write into the record and the events of its run, so anything without the shape of an event is left out.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import cut
from ansible_collections.madctl.multinode.plugins.module_utils._node import log_segments

_TAIL_BYTES, _LINE = 1 << 14, 400
# The last line of a traceback, as torch may label it; what libraries print at exit comes after it.
_ERROR = re.compile(r"^(?:\[rank\d+\]: ?)?((?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b(?::.*)?)$", re.MULTILINE)


def found(
    run_dir: str, record: Optional[Dict[str, Any]], happened: List[Dict[str, Any]], with_logs: bool = True
) -> Dict[str, Any]:
    """
    Return what a verdict needs besides the record.

    Args:
        record: How this node's part ended, with ``rank_exits``; None until it has.
        happened: The known events.
        with_logs: Whether to search the logs for the error.

    Returns:
        ``failure`` (the event of the first one, or None), ``began`` and ``told_to_stop`` (seconds of this node's
        clock, or None), ``error`` (the line of the log that names the error, or None), ``clock``.
    """
    exits = (record or {}).get("rank_exits")
    ended = [one for one in exits if type(one) is dict] if type(exits) is list else []
    recorded = [dict(one, event=events.RANK_EXIT, seq=1) for one in ended]
    failures = [event for event in [*happened, *recorded] if _is_failure(event)]
    first = min(failures, key=lambda event: float(event.get("time", 0.0)), default=None)
    if first is not None and first["event"] == events.MODELS:
        first = dict(first, rows=[])
    has_failed = first is not None or bool(record and (record["exit_code"] or record.get("signal")))
    return {
        "failure": first,
        "began": _time(happened, events.STARTED),
        "told_to_stop": _time(happened, events.STOPPING),
        "error": _error(run_dir, first) if has_failed and with_logs else None,
        "clock": time.time(),
    }


def _is_failure(event: Dict[str, Any]) -> bool:
    if event.get("event") not in events.FAILING or not events.is_told(event) or event.get("stopping"):
        return False
    if event["event"] in events.ENDS:
        return bool(event["exit_code"] or event["signal"])
    return event["event"] != events.MODELS or bool(event["failed"] or event.get("alone"))


def _time(happened: List[Dict[str, Any]], kind: str) -> Optional[float]:
    told = (event for event in happened if event["event"] == kind and events.is_told(event))
    return next((float(event["time"]) for event in told if "time" in event), None)


def _error(run_dir: str, event: Optional[Dict[str, Any]]) -> Optional[str]:
    """Return the last line of a log that names an error: of the failed rank's log, otherwise of the runner's."""
    rank = event.get("rank") if event else None
    name = run_directory.RUNNER_ERR if rank is None else run_directory.log_name(rank, "err")
    parts = log_segments.segments(os.path.join(run_dir, run_directory.LOGS)).get(name)
    if not parts:
        return None
    _, data = log_segments.read(parts, max(0, log_segments.end(parts) - _TAIL_BYTES), _TAIL_BYTES)
    lines = _ERROR.findall(data.decode("utf-8", "replace").replace("\r", "\n"))
    return cut(lines[-1], _LINE) if lines else None
