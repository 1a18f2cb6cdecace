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
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import NodePlan, Plan, Relay
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Launch, Part, Starter, threads
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request

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


def recognise(found: Optional[Mpirun]) -> Optional[Mpi]:
    """Return the kind and version of an MPI by the output of ``mpirun --version``; None without one."""
    if not found:
        return None
    for kind, pattern in _KINDS:
        match = pattern.search(found["text"])
        if match:
            return Mpi(found["program"], kind, match.group(1) or "")
    return Mpi(found["program"], "unknown", "")


def _argv(launch: Launch, mpi: Mpi, addresses: Sequence[str]) -> List[Word]:
    """Write mpirun's command line up to the program that it runs once per rank."""
    given, slots = launch.case.request.mpi_args, launch.choices.nprocs
    hosts = ",".join("%s:%d" % pair for pair in zip(addresses, slots))
    words: List[Word] = [mpi.program, "--host" if mpi.kind == OPENMPI else "-hosts", hosts, "-np", str(sum(slots))]
    if mpi.kind == OPENMPI:
        for option, value in (("--bind-to", "none"), ("--map-by", "slot")):
            if option not in given and option[1:] not in given:
                words += [option, value]
    return [*words, *given, *launch.program(0, run_directory.RANK_WRAPPER)]


def _environment(launch: Launch, mpi: Mpi) -> Dict[str, str]:
    """Return the variables that mpirun and its daemons need, without those that the user chose otherwise."""
    agent = [str(word) for word in launch.program(0, run_directory.MPI_AGENT)]
    found = _openmpi(launch, mpi, agent) if mpi.kind == OPENMPI else _hydra(launch, agent)
    return {name: value for name, value in found.items() if not _contradicted(name, launch.case.request)}


def _openmpi(launch: Launch, mpi: Mpi, agent: Sequence[str]) -> Dict[str, str]:
    start = {"agent": " ".join(agent), "no_tree_spawn": "1"}
    four = mpi.version.startswith("4")
    prefix, plm = ("OMPI_MCA_", "rsh") if four else ("PRTE_MCA_", "ssh")
    # The plan says what runs where. In a job of Slurm, or where pam_slurm_adopt let madctl in, mpirun would ask Slurm.
    found = {prefix + "plm": plm, prefix + "ras": "^slurm"}
    found.update({"%splm_%s_%s" % (prefix, plm, key): value for key, value in start.items()})
    # Supervisors own the daemons, so none may leave its session.
    found[prefix + ("orte_leave_session_attached" if four else "prte_leave_session_attached")] = "1"
    if launch.network:
        found[prefix + ("oob_tcp_if_include" if four else "prte_if_include")] = launch.network
        found["OMPI_MCA_btl_tcp_if_include"] = launch.network
    if launch.case.request.allow_run_as_root:
        for name in ("OMPI", "PRTE"):
            found.update({"%s_ALLOW_RUN_AS_ROOT" % name: "1", "%s_ALLOW_RUN_AS_ROOT_CONFIRM" % name: "1"})
    return found


def _hydra(launch: Launch, agent: Sequence[str]) -> Dict[str, str]:
    found = {
        "HYDRA_RMK": "user",  # No scheduler's list of hosts.
        "HYDRA_LAUNCHER": "rsh",
        "HYDRA_LAUNCHER_EXEC": agent[0],
        "HYDRA_LAUNCHER_EXTRA_ARGS": " ".join(agent[1:]),
        # Each node gets its own variables from its daemon; those of the first node are of no use to others.
        "HYDRA_ENV": "none",
    }
    return {**found, "HYDRA_IFACE": launch.choices.candidates[0].interface} if launch.network else found


def _contradicted(name: str, request: Request) -> bool:
    """Return whether the user chose interfaces differently: MPI refuses to start when it gets both."""
    if name == "HYDRA_IFACE":
        return bool({"-iface", "--iface"} & set(request.mpi_args))
    if "_if_include" not in name:
        return False
    framework = name.partition("_MCA_")[2].partition("_if_")[0]
    return any(framework + "_if_" in word for word in (*request.mpi_args, *request.env))


def _write(launch: Launch, parts: List[Part]) -> None:
    mpi, request = recognise(launch.case.facts[0]["mpi"]), launch.case.request
    assert mpi is not None
    addresses = [candidate.address for candidate in launch.choices.candidates] if launch.network else ["localhost"]
    parts[0].argv = parts[0].prefix = _argv(launch, mpi, addresses)
    own = _environment(launch, mpi)
    for part, python, nproc in zip(parts, launch.choices.pythons, launch.choices.nprocs):
        if launch.case.job.uses_python:
            part.rank_argv = command_line.rank_argv(request.work, python)
            part.env.update(threads(nproc) if command_line.is_python(request.work) else {})
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
