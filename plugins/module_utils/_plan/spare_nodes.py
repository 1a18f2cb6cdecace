# SPDX-License-Identifier: Apache-2.0
"""
Choose the nodes of a run from a larger number, before the start and at a restart.

Pure; private to the collection.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, visible_gpus
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import LOST, Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan, Restart
from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import storage
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request

# All hosts and their facts, None for a host that could not be inspected.
_Tried = Sequence[Tuple[str, Optional[Facts]]]


@dataclass(frozen=True)
class Choice:
    """The chosen nodes in rank order, how they were judged, and why others were left out."""

    hosts: List[str]
    outcome: planner.Outcome
    left_out: List[Problem]
    spares: List[str]


def choose(request: Request, nodes: _Tried, failed: Sequence[Problem], wanted: int) -> Choice:
    """
    Choose the first ``wanted`` nodes without problems.

    Args:
        request: Its ``slots`` belong to ``nodes``.
        failed: Why nodes could not be inspected.

    Returns:
        The choice. If too few nodes are usable, its outcome has all problems of all nodes.
    """
    slots = dict(zip((host for host, _ in nodes), request.slots))
    facts = {host: fact for host, fact in nodes if fact is not None}
    good, bad = list(facts), list(failed)
    # A node that lost its mount is replaced; if all nodes are alike, only the proof shows whether they share it.
    is_mixed = storage.is_mixed(list(facts.items()), request.shared_fstypes)
    while True:
        taken = good[:wanted]
        own = replace(request, slots=tuple(slots.get(host) for host in taken))
        each = [facts[host] for host in taken]
        outcome = planner.make(own, taken, each, has_spares=is_mixed) if taken else planner.Outcome(None, [], [])
        blamed = {entry["host"] for entry in outcome.problems} & set(taken)
        installable = {entry["code"] for entry in outcome.problems} == {"NET_TOOLS_MISSING"}
        if len(taken) < wanted:
            everything = replace(outcome, plan=None, problems=bad + outcome.problems)
            return Choice(taken, everything, [], [])
        if not blamed or installable:
            return Choice(taken, outcome, _replaced([host for host, _ in nodes][:wanted], taken, bad), good[wanted:])
        bad += [entry for entry in outcome.problems if entry["host"] in blamed]
        good = [host for host in good if host not in blamed]


def _replaced(meant: List[str], taken: List[str], bad: List[Problem]) -> List[Problem]:
    """Report for each node that was left out the reason, and the node that replaces it."""
    newcomers = iter([host for host in taken if host not in meant])
    found = []
    for host in dict.fromkeys(entry["host"] for entry in bad):
        why = ", ".join("%s [%s]" % (entry["message"], entry["code"]) for entry in bad if entry["host"] == host)
        instead = next(newcomers, None) if host in meant else None
        takes = "; %s replaces it" % instead if instead else ""
        found.append(problem("NODE_REPLACED", host, "left out: %s%s" % (why, takes)))
    return found


def keep(request: Request, choice: Choice, nodes: _Tried, restarts: int) -> Restart:
    """Return what a restart needs to plan again; from the user's environment, only which GPUs the job sees."""
    wanted = {*choice.hosts, *choice.spares}
    own = {host: {**had, "env": _emptied(had.get("env", {}))} for host, had in request.own.items()}
    bare = {**asdict(request), "env": _emptied(request.env), "own": own, "slots": ()}
    known = [(host, fact) for host, fact in nodes if host in wanted and fact is not None]
    facts = {host: _without_files(fact, host in choice.hosts) for host, fact in known}
    slots = {host: slot for (host, _), slot in zip(nodes, request.slots)}
    return {"request": bare, "facts": facts, "slots": slots, "most": restarts}


def _emptied(env: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value if name in visible_gpus.NAMES else "" for name, value in env.items()}


def _without_files(facts: Facts, proven: bool) -> Facts:
    """Drop the files that proved shared storage, which are gone by then; keep what they proved about nodes that ran."""
    return {**facts, "mounts": [{**mount, "file": None, "proven": proven} for mount in facts["mounts"]]}


def again(plan: Plan, failures: Dict[str, str], attempt: int) -> Optional[Tuple[Plan, Dict[str, str]]]:
    """
    Plan a run again after it failed.

    Args:
        plan: The plan that failed.
        failures: Codes by host.
        attempt: The number of this restart, from 1.

    Returns:
        The new plan, and the new node by the old one; None if no nodes are left to try.
    """
    kept = plan.get("restart")
    if not kept or attempt > kept["most"]:
        return None
    hosts = [node["host"] for node in plan["nodes"]]
    lost = [host for host in hosts if failures.get(host) in LOST]
    spares = plan["spares"]
    if len(lost) > len(spares):
        return None
    replaced = dict(zip(lost, spares))
    hosts = [replaced.get(host, host) for host in hosts]
    fields: Dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in kept["request"].items()
    }
    fields["run_id"] = run_directory.later_attempt(fields["run_id"], fields["attempt"], attempt)
    fields["attempt"] += attempt
    fields["slots"] = tuple(kept["slots"].get(host) for host in hosts)
    outcome = planner.make(Request(**fields), hosts, [kept["facts"][host] for host in hosts])
    if outcome.plan is None:
        return None
    spares = spares[len(lost) :]
    return {**outcome.plan, "spares": spares, "restart": kept, "beacon": plan["beacon"]}, replaced
