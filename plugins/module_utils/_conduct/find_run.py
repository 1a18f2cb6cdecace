# SPDX-License-Identifier: Apache-2.0
"""
Find the requested run: the named one, or the latest on the nodes.

The answers of the nodes replace the plan. Private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import NodePlan, Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Way, Ways

_SECONDS = 25.0
_ALIVE = ("armed", "running", "stopping")
NOT_FOUND = "run %s not found on this node"
SEE = "list the runs on the nodes: ansible-playbook madctl.multinode.ps"
_ELSEWHERE = "launch one, or name the directory of runs with madctl_run_dir"


class Unknown(Exception):  # noqa: N818  an answer, not an error of ours
    """No node has the run, for these reasons."""

    def __init__(self, problems: List[codes.Problem]) -> None:
        super().__init__()
        self.problems = problems
        # For a stop: what nodes proved about the named run.
        self.nodes: Dict[str, Any] = {}


# What replaces the plan, and notices about it.
Found = Tuple[Plan, List[codes.Problem]]


def plan_of(arguments: Dict[str, Any], agents: Agents, alive: bool = False) -> Found:
    """
    Return the plan of a run, or what its nodes know of it.

    Args:
        arguments: ``plan`` itself, or ``run_id``, perhaps only its beginning, and ``run_dir``.
        alive: Whether to prefer a run that is still running to one that is over.

    Raises:
        Unknown: If none of the nodes that answered has such a run.
    """
    if arguments.get("plan"):
        given: Plan = arguments["plan"]
        return given, []
    ways, answers = agents.ways, survey(arguments, agents)
    held = {host: {run["run_id"]: run for run in answers[host].get("runs", [])} for host in ways}
    silent = {host: answers[host]["msg"] for host in ways if "runs" not in answers[host]}
    wanted = str(arguments.get("run_id") or "")
    run_id = _choose(held, wanted, alive)
    if run_id is None:
        raise Unknown(_unknown(arguments.get("run_id"), ways, silent))
    parts = {host: runs[run_id] for host, runs in held.items() if run_id in runs}
    return _plan(run_id, parts, silent, is_named=run_id == wanted)


def survey(arguments: Dict[str, Any], agents: Agents) -> Dict[str, Answer]:
    """Ask all nodes which runs they have."""
    request = {"run_dir": arguments.get("run_dir")}
    return agents.ask(dict.fromkeys(agents.ways, request), "_runs.survey:survey", _SECONDS)


def silence(way: Way, why: str) -> codes.Problem:
    """Describe a node that gave no answer, or an invalid one."""
    remedy = "check that it is up: %s" % way.hint(way.host)
    return codes.problem("NODE_SILENT", way.host, " ".join(why.split()), remedy)


def _choose(held: Dict[str, Dict[str, Any]], wanted: str, alive: bool) -> Optional[str]:
    """
    Choose the latest run whose id or name matches, or whose id begins with the given text.

    A restarted run continues under its id with a number, and its first id still means it.
    """
    parts: Dict[str, List[Dict[str, Any]]] = {}
    for runs in held.values():
        for run_id, run in runs.items():
            parts.setdefault(run_id, []).append(run)
    fitting = [run_id for run_id in parts if run_id == wanted or run_id.startswith(wanted + ".")]
    fitting = fitting or [run_id for run_id in parts if wanted and _is_called(parts[run_id], wanted)]
    fitting = fitting or [run_id for run_id in parts if run_id.startswith(wanted)]
    if alive:
        fitting = [run_id for run_id in fitting if any(run["state"] in _ALIVE for run in parts[run_id])] or fitting
    return max(fitting, key=lambda run_id: (max(map(_created, parts[run_id])), run_id), default=None)


def _is_called(parts: List[Dict[str, Any]], name: str) -> bool:
    return any((part["described"] or {}).get("name") == name for part in parts)


def _created(run: Dict[str, Any]) -> float:
    return float((run["described"] or {}).get("created") or 0.0)


def _unknown(wanted: Any, ways: Ways, silent: Dict[str, str]) -> List[codes.Problem]:
    found = []
    for host in ways:
        if host in silent:
            found.append(silence(ways[host], silent[host]))
        elif wanted:
            found.append(codes.problem("RUN_UNKNOWN", host, NOT_FOUND % wanted, SEE))
        else:
            found.append(codes.problem("RUN_UNKNOWN", host, "no run found on this node", _ELSEWHERE))
    return found


def _plan(run_id: str, parts: Dict[str, Any], silent: Dict[str, str], is_named: bool) -> Found:
    """
    Build the parts of a plan that are needed to follow, query and fetch.

    Nodes that did not answer stay in it; all of them do if they could have a later run.
    """
    described = next((part["described"] for part in parts.values() if part["described"]), None)
    hosts = list(described["hosts"]) if described else []
    ranks = {host: rank for rank, host in enumerate(hosts)}
    for host, part in parts.items():
        # A host can have a different name here than on the machine that launched the run.
        if part["described"]:
            ranks[host] = part["described"]["node_rank"]
    here = [*parts, *(host for host in silent if host in hosts or not (hosts and is_named))]
    here.sort(key=lambda host: ranks.get(host, len(ranks)))
    missing = sorted(set(range(len(hosts))) - {ranks[host] for host in here if host in ranks})
    notices = []
    if missing:
        names = ", ".join(hosts[rank] for rank in missing)
        message = "run %s also has %s, not among these hosts" % (run_id, names)
        notices = [codes.problem("RUN_INCOMPLETE", None, message)]
    place = next(iter(parts.values()))["run_dir"]
    addresses = (described or {}).get("addresses") or []
    nodes: List[NodePlan] = [
        {
            "host": host,
            "node_rank": ranks.get(host, number),
            "address": addresses[ranks[host]] if host in ranks and ranks[host] < len(addresses) else None,
            "run_dir": parts.get(host, {"run_dir": place})["run_dir"],
        }
        for number, host in enumerate(here)
    ]
    unknown = runners.UNKNOWN.shape
    plan: Plan = {"run_id": run_id, "shape": unknown, "world_size": 0, "nnodes": len(nodes), "nodes": nodes}
    if described:
        known: Plan = described["plan"]
        plan = {**known, "run_id": run_id, "nodes": nodes}
    if missing:
        plan["shape"] = unknown
    return plan, notices
