# SPDX-License-Identifier: Apache-2.0
"""
mpirun on the first node, and the daemons that it asks for on all others. Pure; private to the collection.

The environment says what starts the daemons, so the command line, which a script of the user gets as a prefix, is short
and has no word with a space in it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Mpirun
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import NodePlan, Plan, Relay
from ansible_collections.madctl.multinode.plugins.module_utils._plan import starter
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Part, Starter

OPENMPI, MPICH = "Open MPI", "MPICH"
# Major versions that the tests use.
TRIED = {OPENMPI: ("4", "5"), MPICH: ("4", "5")}
_KINDS = (
    ("Intel MPI", re.compile(r"Intel\(R\) MPI Library.*?Version\s+(\S+)", re.DOTALL)),
    ("MVAPICH", re.compile(r"mvapich2?-?(\d[\d.]*)?", re.IGNORECASE)),
    (OPENMPI, re.compile(r"\((?:Open MPI|OpenRTE)\) (\S+)")),
    (MPICH, re.compile(r"HYDRA build details:.*?Version:\s+(\S+)", re.DOTALL)),
)


@dataclass(frozen=True)
class Mpi:
    """One node's mpirun: its path, its kind, and its version."""

    program: str
    kind: str
    version: str

    def __str__(self) -> str:
        return ("%s %s" % (self.kind, self.version)).strip()


@dataclass(frozen=True)
class Launch:
    """
    What mpirun must do; ``addresses`` and ``slots`` are in rank order.

    ``network`` is the one in CIDR notation that MPI may use, None on a single node; ``interface`` is the first
    node's in it; ``interpreter`` runs our programs in ``run_dir`` on every node; ``words`` are the user's own for
    mpirun, and ``names`` the variables that the user sets.
    """

    mpi: Mpi
    addresses: Sequence[str]
    slots: Sequence[int]
    network: Optional[str]
    interface: str
    interpreter: str
    run_dir: str
    words: Sequence[str]
    names: Sequence[str]
    as_root: bool


def recognise(found: Optional[Mpirun]) -> Optional[Mpi]:
    """Return the kind and version of an MPI by the output of ``mpirun --version``; None without one."""
    if not found:
        return None
    for kind, pattern in _KINDS:
        match = pattern.search(found["text"])
        if match:
            return Mpi(found["program"], kind, match.group(1) or "")
    return Mpi(found["program"], "unknown", "")


def argv(launch: Launch) -> List[str]:
    """Write mpirun's command line up to the program that it runs once per rank."""
    hosts = ",".join("%s:%d" % pair for pair in zip(launch.addresses, launch.slots))
    words = [launch.mpi.program, "--host" if launch.mpi.kind == OPENMPI else "-hosts", hosts]
    words += ["-np", str(sum(launch.slots))]
    if launch.mpi.kind == OPENMPI:
        for option, value in (("--bind-to", "none"), ("--map-by", "slot")):
            if option not in launch.words and option[1:] not in launch.words:
                words += [option, value]
    words += launch.words
    return [*words, launch.interpreter, "-I", "-S", _program(launch, run_directory.RANK_WRAPPER)]


def _program(launch: Launch, name: str) -> str:
    return "%s/%s/%s" % (launch.run_dir, run_directory.BIN, name)


def environment(launch: Launch) -> Dict[str, str]:
    """Return the variables that mpirun and its daemons need, without those that the user chose otherwise."""
    agent = [launch.interpreter, "-I", "-S", _program(launch, run_directory.MPI_AGENT)]
    wanted = _openmpi(launch, agent) if launch.mpi.kind == OPENMPI else _hydra(launch, agent)
    return {name: value for name, value in wanted.items() if not _contradicted(name, launch)}


def _openmpi(launch: Launch, agent: Sequence[str]) -> Dict[str, str]:
    start = {"agent": " ".join(agent), "no_tree_spawn": "1"}
    four = launch.mpi.version.startswith("4")
    prefix, plm = ("OMPI_MCA_", "rsh") if four else ("PRTE_MCA_", "ssh")
    found = {prefix + "plm": plm, **{"%splm_%s_%s" % (prefix, plm, key): value for key, value in start.items()}}
    # Supervisors own the daemons, so none may leave its session.
    found[prefix + ("orte_leave_session_attached" if four else "prte_leave_session_attached")] = "1"
    if launch.network:
        found[prefix + ("oob_tcp_if_include" if four else "prte_if_include")] = launch.network
        found["OMPI_MCA_btl_tcp_if_include"] = launch.network
    if launch.as_root:
        for name in ("OMPI", "PRTE"):
            found.update({"%s_ALLOW_RUN_AS_ROOT" % name: "1", "%s_ALLOW_RUN_AS_ROOT_CONFIRM" % name: "1"})
    return found


def _hydra(launch: Launch, agent: Sequence[str]) -> Dict[str, str]:
    found = {
        "HYDRA_LAUNCHER": "rsh",
        "HYDRA_LAUNCHER_EXEC": agent[0],
        "HYDRA_LAUNCHER_EXTRA_ARGS": " ".join(agent[1:]),
        # Each node gets its own variables from its daemon; those of the first node are of no use to others.
        "HYDRA_ENV": "none",
    }
    return {**found, "HYDRA_IFACE": launch.interface} if launch.network else found


def _contradicted(name: str, launch: Launch) -> bool:
    """Return whether the user chose interfaces differently: MPI refuses to start when it gets both."""
    if name == "HYDRA_IFACE":
        return bool({"-iface", "--iface"} & set(launch.words))
    if "_if_include" not in name:
        return False
    framework = name.partition("_MCA_")[2].partition("_if_")[0]
    return any(framework + "_if_" in word for word in (*launch.words, *launch.names))


def _launch(launch: starter.Launch) -> Launch:
    request, first = launch.case.request, launch.case.facts[0]
    mpi = recognise(first["mpi"])
    assert mpi is not None
    candidates = launch.choices.candidates
    return Launch(
        mpi=mpi,
        addresses=[candidate.address for candidate in candidates] if launch.network else ["localhost"],
        slots=launch.choices.nprocs,
        network=launch.network,
        interface=candidates[0].interface,
        interpreter=first["interpreter"],
        run_dir=launch.case.run_dir(0),
        words=request.mpi_args,
        names=tuple(request.env),
        as_root=request.allow_run_as_root,
    )


def _write(launch: starter.Launch, parts: List[Part]) -> None:
    mpi, case = _launch(launch), launch.case
    own = environment(mpi)
    parts[0].argv = parts[0].prefix = list(argv(mpi))
    for part, python, nproc in zip(parts, launch.choices.pythons, launch.choices.nprocs):
        if case.job.uses_python:
            part.rank_argv = command_line.rank_argv(case.request.work, python)
            part.env.update(starter.threads(nproc) if command_line.is_python(case.request.work) else {})
        part.env.update(own)


def _files(plan: Plan, node: NodePlan, secret: str) -> Dict[str, str]:
    """Return what our wrapper of a rank reads, since mpirun has one command line for all nodes, and our agent's key."""
    words = [unpack(word) for word in node["rank_argv"] or []]
    ranks = {"python": node["python"], "argv": words, "start_timeout": plan["start_timeout"]}
    return {run_directory.RANKS: json.dumps(ranks), **({} if node["node_rank"] else {run_directory.RELAY_KEY: secret})}


def _relay(plan: Plan, node: NodePlan, secret: str) -> Relay:
    """Return a node's part in starting daemons; a plan without ranks leaves open how many come, and how often."""
    is_known = node["rank_argv"] is not None
    return {
        "key": secret,
        "address": node["address"],
        "seconds": plan["start_timeout"],
        "leads": node["node_rank"] == 0,
        "ranks": node["nproc_per_node"] if is_known else None,
        "many": not is_known,
    }


STARTER = Starter("mpirun", _write, _files, _relay)
