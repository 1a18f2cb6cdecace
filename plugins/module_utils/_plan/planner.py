# SPDX-License-Identifier: Apache-2.0
"""
Turn facts and a request into a plan, or into all problems at once. Pure; private to the collection.

All judgement across nodes starts here, so it is tested with tables and is the same for the command line, the playbooks
and the roles.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import NodePlan, Plan, Proof
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_cards, network_choice
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices, case_of
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import order, proof, storage, versions
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks.clock import ahead
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners.order import of as starters_of
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Launch, Part
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request

STOP_GRACE_SECONDS = 35.0  # torchrun gives its workers 30


@dataclass(frozen=True)
class Outcome:
    """
    Either ``plan`` or ``problems``; ``warnings`` in both cases. Without work there is no plan.

    ``proof`` is what each node must prove, by host, as far as that is possible without a plan. ``candidates`` explains
    the network, a list of rows by host; ``fingerprints`` summarises every node.
    """

    plan: Optional[Plan]
    problems: List[Problem]
    warnings: List[Problem]
    proof: Dict[str, Proof] = field(default_factory=dict)
    candidates: Dict[str, List[network_choice.Row]] = field(default_factory=dict)
    fingerprints: Dict[str, Dict[str, Any]] = field(default_factory=dict)


def make(request: Request, hosts: Sequence[str], facts: Sequence[Facts], has_spares: bool = False) -> Outcome:
    """
    Judge what the nodes reported and plan the launch.

    Args:
        hosts: Names of the nodes in rank order; one host is a single-node run.
        facts: What ``node_info`` returned, in the same order.
        has_spares: Whether another node can replace one that the proof refuses.
    """
    case = case_of(request, hosts, facts, has_spares)
    choices, found = order.run(case)
    problems = [entry for entry in found if not catalog.is_warning(entry["code"])]
    warnings = [entry for entry in found if catalog.is_warning(entry["code"])]
    wanted = proof.parts(case, choices)
    rows = network_choice.explain(hosts, case.facts, choices.candidates)
    prints = {host: versions.fingerprint(fact, report) for (host, fact), report in zip(case.nodes, choices.reports)}
    plan = None if problems or not request.is_given else _plan(case, choices, wanted)
    return Outcome(plan, problems, warnings, wanted, rows, prints)


def _plan(case: Case, choices: Choices, wanted: Dict[str, Proof]) -> Plan:
    """Write the plan of a launch without problems."""
    request, candidates = case.request, choices.candidates
    is_single = len(case.hosts) == 1 and candidates[0].interface == "lo"
    address = request.master_addr or ("localhost" if is_single else candidates[0].address)
    network = ",".join(network_choice.cover(case.facts, candidates, request.interface))
    port = choices.port or int(request.master_port)
    launch = Launch(case, choices, address, port, None if is_single else network)
    slots = zip(candidates, choices.nprocs)
    return {
        "run_id": request.run_id,
        "runner": request.runner,
        "shape": request.shape,
        "master_addr": address,
        "master_port": port,
        "nnodes": len(case.hosts),
        "world_size": launch.world_size,
        "start_timeout": request.start_timeout * (2 if request.node_setup else 1),
        "grace": STOP_GRACE_SECONDS,
        "lock": request.wants("machine"),
        "beacon": storage.proven(case.nodes),
        "work": list(request.work),
        "setup": request.node_setup,
        "hostfile": "".join("%s slots=%d\n" % (candidate.address, count) for candidate, count in slots),
        "network": network,
        "nodes": _nodes(launch),
        "proof": wanted,
        "code": request.code,
    }


def _nodes(launch: Launch) -> List[NodePlan]:
    """Write the parts of all nodes."""
    request, ranks = launch.case.request, range(len(launch.case.hosts))
    parts = [Part(_environment(launch, rank), _own_environment(launch, rank)) for rank in ranks]
    for starter in starters_of(request.shape, request.runner):
        starter.write(launch, parts)
    return [_node(launch, rank, part) for rank, part in enumerate(parts)]


def _node(launch: Launch, rank: int, part: Part) -> NodePlan:
    case, choices = launch.case, launch.choices
    # The user's own values win, and are not part of the plan, because plans are shown and logged.
    given = case.request.env_of(case.hosts[rank])
    env = {name: value for name, value in part.env.items() if name not in given}
    if part.prefix:
        env[run_directory.RUNNER] = shlex.join(map(str, part.prefix))
    return {
        "host": case.hosts[rank],
        "node_rank": rank,
        "address": choices.candidates[rank].address,
        "interface": choices.candidates[rank].interface,
        "nproc_per_node": choices.nprocs[rank],
        "cwd": choices.cwds[rank],
        "argv": part.argv,
        "env": {**env, **part.own_env},
        "run_dir": case.run_dir(rank),
        "clock_offset": round(ahead(case.facts[rank]["time"])[0], 3),
        "python": choices.pythons[rank],
        "rank_argv": part.rank_argv,
        "model": part.model,
    }


def _environment(launch: Launch, rank: int) -> Dict[str, Word]:
    """Return the variables of the job that the user may set differently."""
    candidate = launch.choices.candidates[rank]
    return {
        "MASTER_ADDR": launch.address,
        "MASTER_PORT": str(launch.port),
        "NNODES": str(len(launch.case.hosts)),
        "NODE_RANK": str(rank),
        "NPROC_PER_NODE": str(launch.choices.nprocs[rank]),
        "WORLD_SIZE": str(launch.world_size),
        "NCCL_SOCKET_IFNAME": network_cards.for_nccl(candidate, launch.case.facts[rank]),
        "GLOO_SOCKET_IFNAME": candidate.interface,
        **({"NCCL_SOCKET_FAMILY": "AF_INET6"} if candidate.is_ipv6 else {}),
        "PYTHONUNBUFFERED": "1",
    }


def _own_environment(launch: Launch, rank: int) -> Dict[str, Word]:
    """Return the variables that the user cannot set."""
    own = launch.case.run_dir(rank)
    return {
        run_directory.RUN_ID: launch.case.request.run_id,
        run_directory.RUN_DIR: own,
        run_directory.HOST_FILE_PATH: "%s/%s" % (own, run_directory.HOST_FILE),
        **launch.case.request.attempt_variables,
    }
