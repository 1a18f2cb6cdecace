# SPDX-License-Identifier: Apache-2.0
"""Say how a run stands from what its nodes answered. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import EXITED, Reason

HEAD = ("NODE", "STATE", "CONTAINER", "RANKS", "PROCESSES", "EXIT")
_REASONS = {
    Reason.STOPPED: "stopped",
    Reason.TIMED_OUT: "timed out",
    Reason.IDLE: "silent",
    Reason.PEER_FAILED: "another node failed",
    Reason.BROKEN: "supervisor broke",
}


def rows(nodes: Sequence[Dict[str, Any]]) -> List[Tuple[str, ...]]:
    """Write a table of nodes and how the run stands there."""
    return [
        HEAD,
        *(
            (
                node["host"],
                node["state"],
                node["container"] or "-",
                str(node["joined"]),
                str(node["processes"]),
                ending(node["exit"]),
            )
            for node in nodes
        ),
    ]


def ending(record: Optional[Dict[str, Any]]) -> str:
    """Say in a few words how a node's share of a run ended."""
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
    """Say what a failure on one node means for the others when nobody is there to tell them."""
    paths = {node["storage"] for node in nodes}
    if len(nodes) < 2:
        return "the node ends by itself"
    if None in paths:
        return "a node learns of another's failure by its runner's own time-out; --shared-path shortens that to 60 s"
    return "a node learns of another's failure within 60 s, through %s" % ", ".join(sorted(map(str, paths)))
