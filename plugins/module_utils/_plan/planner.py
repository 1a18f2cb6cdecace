# SPDX-License-Identifier: Apache-2.0
"""
Turn facts and a request into a plan, or into all problems at once. Pure; private to the collection.

All judgement across nodes is here, so that it is tested with tables and is the same for the command
line, the playbooks and the roles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, filesystems
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan, Proof
from ansible_collections.madctl.multinode.plugins.module_utils._plan import (
    checks,
    madengine_runner,
    mpi_runner,
    network_choice,
    node_plan,
    proof_parts,
    shared_storage,
)
from ansible_collections.madctl.multinode.plugins.module_utils._plan.choices import Case, Choices, case_of, choose
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request

STOP_GRACE_SECONDS = 35.0  # torchrun gives its workers 30


@dataclass(frozen=True)
class Outcome:
    """
    Either ``plan`` or ``problems``; ``warnings`` in both cases. Without work there is no plan.

    ``proof`` is what each node is to prove, by host; without a plan it holds what can be proven all the
    same. ``candidates`` explains the network, a list of rows by host; ``fingerprints`` sums up every node.
    """

    plan: Optional[Plan]
    problems: List[Problem]
    warnings: List[Problem]
    proof: Dict[str, Proof] = field(default_factory=dict)
    candidates: Dict[str, List[network_choice.Row]] = field(default_factory=dict)
    fingerprints: Dict[str, Dict[str, Any]] = field(default_factory=dict)


def make(request: Request, hosts: Sequence[str], facts: Sequence[Facts], no_spares: bool = True) -> Outcome:
    """
    Judge what the nodes reported and plan the launch.

    Args:
        hosts: Names of the nodes in rank order; one host is a single-node run.
        facts: What ``node_info`` returned, in the same order.
        no_spares: Whether no other node can take the place of one that the proof may yet refuse.
    """
    case = case_of(request, hosts, facts)
    choices, against_choices = choose(case)
    found = _findings(case, choices, against_choices, no_spares)
    problems = [entry for entry in found if not catalog.is_warning(entry["code"])]
    warnings = [entry for entry in found if catalog.is_warning(entry["code"])]
    proof = proof_parts.parts(case, choices)
    rows = network_choice.explain(hosts, case.facts, choices.candidates)
    prints = {host: checks.fingerprint(fact, report) for (host, fact), report in zip(case.nodes, choices.reports)}
    plan = None if problems or not request.is_given else _plan(case, choices, proof)
    return Outcome(plan, problems, warnings, proof, rows, prints)


# -- judgement ----------------------------------------------------------------------------------------


def _findings(case: Case, choices: Choices, against_choices: List[Problem], no_spares: bool) -> List[Problem]:
    """Run every judge, whatever the others find; what was not asked for is left out."""
    request, nodes = case.request, case.nodes
    found = checks.machines(nodes) + against_choices + _mpirun(case, choices) + _models(case)
    found += checks.gpus(nodes) + shared_storage.judge(nodes, request.shared_fstypes, no_spares)
    if choices.candidates and len(case.hosts) > 1:
        found += checks.network(nodes, choices.candidates)
    share_storage = any(fact["mounts"] for fact in case.facts)
    found += checks.names(nodes) + checks.versions(nodes, choices.reports, share_storage)
    found += checks.limits(nodes) + checks.clocks(nodes)
    return [entry for entry in found if request.wants(catalog.CHECK_OF[entry["code"]])]


def _mpirun(case: Case, choices: Choices) -> List[Problem]:
    """Judge what mpirun needs."""
    request = case.request
    if request.runner != "mpirun":
        return []
    found = mpi_runner.judge(case.nodes, request.mpirun, request.mpi_args, request.allow_run_as_root)
    run_dirs = [node_plan.run_dir(request, fact) for fact in case.facts]
    found += mpi_runner.judge_paths(case.hosts, [fact["interpreter"] for fact in case.facts], run_dirs)
    return found + [
        problem("MPI_ADDRESS_FAMILY", host, "the network of the job is %s here" % candidate.network)
        for host, candidate in zip(case.hosts, choices.candidates)
        if candidate.is_ipv6
    ]


def _models(case: Case) -> List[Problem]:
    """Judge what models need."""
    request = case.request
    if request.shape != "model":
        return []
    versions = {madengine_runner.major_of(fact, case.facts) for fact in case.facts}
    own = madengine_runner.merge(request.additional_context, versions != {2})
    found = madengine_runner.judge(case.nodes, request.replace_containers, own.get("MAD_CONTAINER_IMAGE"))
    found += madengine_runner.alone(case.nodes) + madengine_runner.overridden(own)
    if versions != {2}:
        env = {name: unpack(value) for name, value in request.env.items()}
        found += madengine_runner.unsafe(own, request.tags, request.force_mirror_local, env)
    if request.runner == "mpirun":
        found.append(problem("MODEL_RUNNER", None, "madengine's own containers cannot take daemons of mpirun"))
    shared = [mount["path"] for mount in case.facts[0]["mounts"]]
    mirror = request.force_mirror_local
    if mirror and not (request.wants("storage") and any(filesystems.is_below(mirror, path) for path in shared)):
        message = "%s is no shared storage that is checked" % mirror
        found.append(problem("MIRROR_UNPROVEN", None, message))
    return found


# -- the plan -----------------------------------------------------------------------------------------


def _plan(case: Case, choices: Choices, proof: Dict[str, Proof]) -> Plan:
    """Write the plan, nothing standing against it."""
    request, candidates = case.request, choices.candidates
    is_single = len(case.hosts) == 1 and candidates[0].interface == "lo"
    address = request.master_addr or ("localhost" if is_single else candidates[0].address)
    network = ",".join(network_choice.cover(case.facts, candidates, request.interface))
    launch = _launch(case, choices, None if is_single else network) if request.runner == "mpirun" else None
    port = choices.port or int(request.master_port)
    chosen = node_plan.Chosen(
        request=request,
        hosts=case.hosts,
        facts=case.facts,
        candidates=candidates,
        pythons=choices.pythons,
        cwds=choices.cwds,
        nprocs=choices.nprocs,
        addr=address,
        port=port,
        mpi=launch,
    )
    slots = zip(candidates, choices.nprocs)
    return {
        "run_id": request.run_id,
        "runner": request.runner,
        "shape": request.shape,
        "master_addr": address,
        "master_port": port,
        "nnodes": len(case.hosts),
        "world_size": chosen.world_size,
        "start_timeout": request.start_timeout,
        "grace": STOP_GRACE_SECONDS,
        "lock": request.wants("machine"),
        "beacon": shared_storage.proven(case.facts),
        "work": list(request.work),
        "hostfile": "".join("%s slots=%d\n" % (candidate.address, count) for candidate, count in slots),
        "network": network,
        "nodes": node_plan.nodes(chosen),
        "proof": proof,
    }


def _launch(case: Case, choices: Choices, network: Optional[str]) -> mpi_runner.Launch:
    """Say what mpirun is to do; ``network`` is None on a single node."""
    request, first = case.request, case.facts[0]
    mpi = mpi_runner.recognise(first["mpi"])
    assert mpi is not None
    return mpi_runner.Launch(
        mpi=mpi,
        addresses=[candidate.address for candidate in choices.candidates] if network else ["localhost"],
        slots=choices.nprocs,
        network=network,
        interface=choices.candidates[0].interface,
        interpreter=first["interpreter"],
        run_dir=node_plan.run_dir(request, first),
        words=request.mpi_args,
        names=tuple(request.env),
        as_root=request.allow_run_as_root,
    )
