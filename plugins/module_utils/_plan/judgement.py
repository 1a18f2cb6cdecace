# SPDX-License-Identifier: Apache-2.0
"""
Judge what all nodes reported, and plan the launch if there are no problems.

Pure; private to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner, spare_nodes
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request


@dataclass(frozen=True)
class Judgement(planner.Outcome):
    """
    The result of inspecting all nodes.

    ``plan`` is None if there are problems. ``without_ifconfig`` names nodes on which net-tools must be installed next,
    if that is the only problem. ``left_out`` names checks that were not wanted. ``answered`` is the number of nodes
    that could be inspected, including spares and nodes that are left out.
    """

    hosts: List[str] = field(default_factory=list)
    without_ifconfig: List[str] = field(default_factory=list)
    left_out: List[str] = field(default_factory=list)
    answered: int = 0


def judge(
    request: Request,
    nodes: Sequence[Tuple[str, Optional[Facts]]],
    failed: Sequence[Problem],
    nnodes: int = 0,
    restarts: int = 0,
    net_tools_follow: bool = False,
) -> Judgement:
    """
    Judge and plan.

    Args:
        request: Its ``slots`` belong to ``nodes``, or to those that were reached if ``nnodes`` is 0.
        nodes: All hosts in rank order and their facts, None for a host that could not be inspected.
        failed: Why nodes could not be inspected.
        nnodes: How many nodes take part; 0 means all.
        restarts: How many times the run may be restarted.
        net_tools_follow: Whether nodes without ifconfig are only listed.
    """
    hosts, problems = [host for host, _ in nodes], list(failed)
    reached = [(host, facts) for host, facts in nodes if facts is not None]
    choice = spare_nodes.Choice([], planner.Outcome(None, [], []), [], [])
    wanted = nnodes or len(hosts)
    if wanted < len(hosts):
        choice = spare_nodes.choose(request, nodes, problems, wanted)
        problems = choice.outcome.problems
        hosts = hosts if problems else choice.hosts
    elif reached:
        names, facts = [host for host, _ in reached], [found for _, found in reached]
        choice = spare_nodes.Choice(names, planner.make(request, names, facts), [], [])
        # Properties of all nodes together cannot be judged without the missing ones.
        unsure = catalog.NEEDS_ALL if problems else ()
        problems += [entry for entry in choice.outcome.problems if entry["code"] not in unsure]
    outcome = choice.outcome
    if outcome.plan:
        kept = spare_nodes.keep(request, choice, nodes, restarts) if restarts else None
        outcome.plan["spares"], outcome.plan["restart"] = choice.spares, kept
    missing = [str(entry["host"]) for entry in problems if entry["code"] == "NET_TOOLS_MISSING"]
    wait = missing if net_tools_follow and len(missing) == len(problems) else []
    mine = {"plan": None if problems else outcome.plan, "problems": [] if wait else problems}
    return Judgement(
        **{**vars(outcome), **mine, "warnings": [*choice.left_out, *outcome.warnings]},
        hosts=hosts,
        without_ifconfig=wait,
        left_out=[name for name in catalog.NAMES if not request.wants(name)],
        answered=len(reached),
    )


def not_run(judged: Judgement, paths: List[str]) -> Dict[str, List[str]]:
    """List the checks that report nothing about a node: skipped, not applicable, or prevented by another failure."""
    unreached = {entry["host"] for entry in judged.problems if catalog.CHECK_OF.get(entry["code"]) == "reach"}
    silent = {}
    for host in judged.hosts:
        there: Dict[str, Any] = {"shared_paths": paths, **judged.proof.get(host, {})}
        without = {check.name for check in catalog.CHECKS if check.needs and not any(map(there.get, check.needs))}
        names = {*judged.left_out, *without}
        if host in unreached:
            names = set(catalog.NAMES) - {"reach"}
        silent[host] = sorted(names)
    return silent
