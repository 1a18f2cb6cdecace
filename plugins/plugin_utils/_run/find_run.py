# SPDX-License-Identifier: GPL-3.0-or-later
"""
Find the run that a playbook means: the one it names, or the latest that the nodes of the play hold.

There is no memory of runs here; the nodes are asked, and what they say stands in for the plan.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import NodePlan, Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Ways
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_SECONDS = 25.0
_ALIVE = ("armed", "running", "stopping")
SEE = "see what the nodes hold: ansible-playbook madctl.multinode.ps"
_ELSEWHERE = "launch one, or name the directory of runs with madctl_run_dir"


class Unknown(Exception):  # noqa: N818  it is an answer, not an error of ours
    """No node holds the run; ``result`` is what the action returns."""

    def __init__(self, problems: list[codes.Problem]) -> None:
        super().__init__()
        self.result = results.judged({"changed": False, "nodes": {}, "exit_code": int(ExitCode.USAGE)}, problems)
        playbook_screen.problems(problems)


def plan_of(arguments: dict[str, Any], agents: Agents, alive: bool = False) -> Plan:
    """
    Give the plan of a run, or what its nodes know of it.

    Args:
        alive: Whether a run that goes on somewhere is meant before one that is over.

    Raises:
        Unknown: If none of the nodes that answered holds such a run.
    """
    if arguments.get("plan"):
        given: Plan = arguments["plan"]
        return given
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


def _choose(held: dict[str, dict[str, Any]], wanted: str, alive: bool = False) -> str | None:
    """
    Choose the run by its id, or by the beginning of it; the latest of those that fit.

    A run that was started anew goes on under its id with a number, and is still meant by its first.
    """
    shares: dict[str, list[dict[str, Any]]] = {}
    for share in held.values():
        for run_id, run in share.items():
            shares.setdefault(run_id, []).append(run)
    fitting = [run_id for run_id in shares if run_id == wanted or run_id.startswith(wanted + ".")]
    fitting = fitting or [run_id for run_id in shares if run_id.startswith(wanted)]
    if alive:
        fitting = [run_id for run_id in fitting if any(_goes_on(run) for run in shares[run_id])] or fitting
    return max(fitting, key=lambda run_id: (max(map(_created, shares[run_id])), run_id), default=None)


def _goes_on(run: dict[str, Any]) -> bool:
    return run["state"] in _ALIVE


def _created(run: dict[str, Any]) -> float:
    return float((run["described"] or {}).get("created") or 0.0)


def _unknown(wanted: Any, ways: Ways, silent: dict[str, str]) -> list[codes.Problem]:
    found = []
    for host in ways:
        if host in silent:
            found.append(results.silence(ways[host], silent[host]))
        elif wanted:
            found.append(codes.problem("RUN_UNKNOWN", host, "it holds no run %s" % wanted, SEE))
        else:
            found.append(codes.problem("RUN_UNKNOWN", host, "it holds no run", _ELSEWHERE))
    return found


def _plan(run_id: str, shares: dict[str, Any], silent: dict[str, str], is_named: bool) -> Plan:
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
    if missing:
        names = ", ".join(hosts[rank] for rank in missing)
        playbook_screen.tell("notice", "RUN_INCOMPLETE: run %s also has %s, not among these hosts" % (run_id, names))
    place = next(iter(shares.values()))["run_dir"]
    addresses = (described or {}).get("addresses") or []
    nodes: list[NodePlan] = [
        {
            "host": host,
            "node_rank": ranks.get(host, number),
            "address": addresses[ranks[host]] if host in ranks and ranks[host] < len(addresses) else None,
            "run_dir": shares.get(host, {"run_dir": place})["run_dir"],
        }
        for number, host in enumerate(here)
    ]
    plan: Plan = {"run_id": run_id, "shape": "command", "world_size": 0, "nnodes": len(nodes), "nodes": nodes}
    if described:
        known: Plan = described["plan"]
        plan = {**known, "run_id": run_id, "nodes": nodes}
    if missing:
        plan["shape"] = "command"
    return plan
