# SPDX-License-Identifier: Apache-2.0
"""
Leave nothing of a run on the nodes of its job: other users get them next, and then madctl cannot reach them. Private.

If the user sets the directory of runs with ``--run-dir``, the files stay in it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, Mapping, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents

# For an orderly end, and for a scheduler that is about to kill, which leaves no time to keep much.
_SECONDS, _HURRIED_SECONDS = 60.0, 2.0
# What a node may keep on shared storage, compressed.
_MOST_BYTES = 1 << 30
_WHY = 400  # characters
_LEAVE = "_runs.leaving:leave"
Arguments = Dict[str, Any]
Log = Tuple[str, str]


def placed(arguments: Arguments, job_id: str) -> Arguments:
    """Return the arguments of a launch with a directory of runs for this job alone, unless the user chose one."""
    return {**arguments, "run_dir": arguments["run_dir"] or run_directory.of_job(os.geteuid(), job_id)}


def leave(
    agents: Agents, place: str, base: str, result: Mapping[str, Any], logs: Set[Log], is_hurried: bool
) -> Dict[str, Dict[str, Any]]:
    """
    Have all nodes of a run save the files worth keeping below the job's directory, and remove their part.

    Args:
        base: The directory of runs on nodes.
        result: How the run ended.
        logs: The logs that are completely in the story.

    Returns:
        ``run_dir`` and ``why`` by host, for parts that are still on their node.
    """
    problems = result["problems"]
    # Remaining processes of a run may still use its files, and a lost node does not answer.
    unasked = {entry["host"]: entry["message"] for entry in problems if entry["code"] in (*codes.LOST, "LEFT_BEHIND")}
    own = {node["host"]: node["run_dir"] for node in result.get("summary", {}).get("nodes", [])}
    kept = os.path.join(place, job_directory.KEPT)
    with contextlib.suppress(OSError):  # Each node notices this by itself, and keeps its part.
        os.makedirs(kept, 0o700, exist_ok=True)
    requests = {
        host: {
            "base": base,
            "run_dir": own.get(host),
            "pack": os.path.join(kept, host + job_directory.PACK),
            "whole": sorted(log for where, log in logs if where == host),
            "most": _MOST_BYTES,
        }
        for host in agents.ways
        if host not in unasked
    }
    answers = agents.ask(requests, _LEAVE, _HURRIED_SECONDS if is_hurried else _SECONDS) if requests else {}
    found = {host: why for host, why in unasked.items() if host in own}
    for host in requests:
        answer = answers.get(host, {})
        why = answer["still"] if "still" in answer else answer.get("msg") or "it did not answer"
        if why is not None:
            found[host] = str(why)
    return {host: {"run_dir": own.get(host) or base, "why": why[:_WHY]} for host, why in found.items()}
