# SPDX-License-Identifier: Apache-2.0
"""Tables of the state of a run on its nodes, and of all runs on nodes. Pure; private to the collection."""

from __future__ import annotations

import re
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import EXITED, Reason
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns, verdict_text
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold

_ID = re.compile(r"\w[\w.+-]{0,200}", re.ASCII)
_REASONS = {
    Reason.STOPPED: "stopped",
    Reason.TIMED_OUT: "timed out",
    Reason.IDLE: "silent",
    Reason.PEER_FAILED: "another node failed",
    Reason.BROKEN: "supervisor broke",
}


def lines(nodes: Sequence[Dict[str, Any]], silent: Sequence[str] = ()) -> List[str]:
    """Format the table: the answers of nodes, and the nodes that did not answer."""
    rows: List[Sequence[object]] = [("NODE", "STATE", "CONTAINER", "RANKS", "PROCESSES", "EXIT")]
    for node in nodes:
        container = node["container"] or "-"
        processes = "-" if node["processes"] is None else node["processes"]
        # A pod is on a node that its cluster has chosen.
        host = "%s on %s" % (node["host"], node["node"]) if node.get("node") else node["host"]
        rows.append((host, node["state"], container, node["joined"], processes, ending(node["exit"])))
    rows += [(host, "no answer", "-", "-", "-", "-") for host in silent]
    return columns.aligned(rows)


def of_runs(runs: Sequence[Mapping[str, Any]], width: Optional[int] = None) -> List[str]:
    """
    Format one line per run, in their order.

    Args:
        runs: Each with ``run_id``, ``name``, ``created``, a verdict, ``hosts`` and ``work``.
        width: The columns that a line may have; None for any number.
    """
    rows: List[Sequence[object]] = [("RUN", "NAME", "VERDICT", "DURATION", "STARTED", "NODES", "WORK")]
    for run in runs:
        began = "-" if run["created"] is None else started(run["created"])
        stands = (verdict_text.brief(run), verdict_text.took(run), began)
        rows.append((_named(run["run_id"]), run["name"] or "-", *stands, fold(run["hosts"]) or "-", run["work"] or "-"))
    # The state of a run is the last column to be cut.
    return columns.fitted(rows, width, free=(-2, -1))


def _named(run_id: str) -> str:
    """Format the id that a node reports for a run; an unusual one is quoted, because it begins a line."""
    return run_id if _ID.fullmatch(run_id) else repr(run_id)


def started(created: float) -> str:
    """Format when a run began."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(created))


def ending(record: Optional[Dict[str, Any]]) -> str:
    """Describe in a few words how a node's part of a run ended."""
    if record is None:
        return "-"
    if record["outcome"] != EXITED:
        return str(record["outcome"]).replace("_", " ")
    why = _REASONS.get(str(record.get("reason")))
    how = "signal %s" % record["signal"] if record["signal"] else str(record["exit_code"])
    if record["signal"] is None and record["exit_code"] is None:
        how = "still running"
    return "%s (%s)" % (how, why) if why else how


def alone(nodes: Sequence[Dict[str, Any]]) -> str:
    """Describe how nodes notice each other's failures while no command follows the run."""
    paths = {node["storage"] for node in nodes}
    if len(nodes) < 2:
        return "while detached: the node ends by itself"
    notice = "while detached: nodes notice another node's failure"
    if None in paths:
        return notice + " only after their runner's timeout; with --shared-path, within 60 s"
    return "%s within 60 s, through %s" % (notice, ", ".join(sorted(map(str, paths))))
