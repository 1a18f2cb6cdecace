# SPDX-License-Identifier: Apache-2.0
"""
Find the run that is meant: the one that is named, or the latest that the nodes hold.

Nodes are asked, and what they say stands in for the plan. Private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import NodePlan, Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Way, Ways

_SECONDS = 25.0
_ALIVE = ("armed", "running", "stopping")
SEE = "see what the nodes hold: ansible-playbook madctl.multinode.ps"
_ELSEWHERE = "launch one, or name the directory of runs with madctl_run_dir"


class Unknown(Exception):  # noqa: N818  it is an answer, not an error of ours
    """No node holds the run, for these reasons."""

    def __init__(self, problems: List[codes.Problem]) -> None:
        super().__init__()
        self.problems = problems
        # Of a stop: what nodes proved of the run that was named.
        self.nodes: Dict[str, Any] = {}


class Found(NamedTuple):
    """What stands in for the plan, and what is to be noticed about it."""

    plan: Plan
    notices: List[codes.Problem]


def plan_of(arguments: Dict[str, Any], agents: Agents, alive: bool = False) -> Found:
    """
    Give the plan of a run, or what its nodes know of it.

    Args:
        arguments: ``plan`` itself, or ``run_id``, or its beginning, and ``run_dir``.
        alive: Whether a run that goes on somewhere is meant before one that is over.

    Raises:
        Unknown: If none of the nodes that answered holds such a run.
    """
    if arguments.get("plan"):
        given: Plan = arguments["plan"]
        return Found(given, [])
    ways, request = agents.ways, {"run_dir": arguments.get("run_dir")}
    answers = agents.ask(ways, "_runs.survey:survey", lambda _: request, _SECONDS)
    held = {host: {run["run_id"]: run for run in answers[host].get("runs", [])} for host in ways}
    silent = {host: answers[host]["msg"] for host in ways if "runs" not in answers[host]}
    wanted = str(arguments.get("run_id") or "")
    run_id = _choose(held, wanted, alive)
    if run_id is None:
        raise Unknown(_unknown(arguments.get("run_id"), ways, silent))
    shares = {host: runs[run_id] for host, runs in held.items() if run_id in runs}
    return _plan(run_id, shares, silent, is_named=run_id == wanted)


def silence(way: Way, why: str) -> codes.Problem:
    """Describe a node that did not answer, or not as it should."""
    remedy = "see whether it is up: %s" % way.hint(way.host)
    return codes.problem("NODE_SILENT", way.host, " ".join(why.split()), remedy)


def _choose(held: Dict[str, Dict[str, Any]], wanted: str, alive: bool = False) -> Optional[str]:
    """
    Choose the run by its id, or by the beginning of it; the latest of those that fit.

    A run that was started anew goes on under its id with a number, and is still meant by its first.
    """
    shares: Dict[str, List[Dict[str, Any]]] = {}
    for share in held.values():
        for run_id, run in share.items():
            shares.setdefault(run_id, []).append(run)
    fitting = [run_id for run_id in shares if run_id == wanted or run_id.startswith(wanted + ".")]
    fitting = fitting or [run_id for run_id in shares if run_id.startswith(wanted)]
    if alive:
        fitting = [run_id for run_id in fitting if any(_goes_on(run) for run in shares[run_id])] or fitting
    return max(fitting, key=lambda run_id: (max(map(_created, shares[run_id])), run_id), default=None)


def _goes_on(run: Dict[str, Any]) -> bool:
    return run["state"] in _ALIVE


def _created(run: Dict[str, Any]) -> float:
    return float((run["described"] or {}).get("created") or 0.0)


def _unknown(wanted: Any, ways: Ways, silent: Dict[str, str]) -> List[codes.Problem]:
    found = []
    for host in ways:
        if host in silent:
            found.append(silence(ways[host], silent[host]))
        elif wanted:
            found.append(codes.problem("RUN_UNKNOWN", host, "it holds no run %s" % wanted, SEE))
        else:
            found.append(codes.problem("RUN_UNKNOWN", host, "it holds no run", _ELSEWHERE))
    return found


def _plan(run_id: str, shares: Dict[str, Any], silent: Dict[str, str], is_named: bool) -> Found:
    """
    Write down of a plan what following, asking and fetching need.

    Nodes that did not answer stay in, all of them where they might have held a later run.
    """
    described = next((share["described"] for share in shares.values() if share["described"]), None)
    hosts = list(described["hosts"]) if described else []
    ranks = {host: rank for rank, host in enumerate(hosts)}
    for host, share in shares.items():
        # A host can have another name here than where the run was launched.
        if share["described"]:
            ranks[host] = share["described"]["node_rank"]
    here = [*shares, *(host for host in silent if host in hosts or not (hosts and is_named))]
    here.sort(key=lambda host: ranks.get(host, len(ranks)))
    missing = sorted(set(range(len(hosts))) - {ranks[host] for host in here if host in ranks})
    notices = []
    if missing:
        names = ", ".join(hosts[rank] for rank in missing)
        message = "run %s also has %s, not among these hosts" % (run_id, names)
        notices = [codes.problem("RUN_INCOMPLETE", None, message)]
    place = next(iter(shares.values()))["run_dir"]
    addresses = (described or {}).get("addresses") or []
    nodes: List[NodePlan] = [
        {
            "host": host,
            "node_rank": ranks.get(host, number),
            "address": addresses[ranks[host]] if host in ranks and ranks[host] < len(addresses) else None,
            "run_dir": shares.get(host, {"run_dir": place})["run_dir"],
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
    return Found(plan, notices)
