# SPDX-License-Identifier: Apache-2.0
"""
mpirun on the first node, and the daemons that it requests on all others. Pure; private to the collection.

The environment specifies what starts the daemons, so the command line, which a user's script gets as a prefix, is short
and has no word with a space in it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Collection, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line, run_directory, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Mpirun
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import NodePlan, Plan, Relay
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Launch, Part, Starter, threads

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


@dataclass(frozen=True)
class Setting:
    """
    The settings of mpirun besides the program that it runs once per rank.

    ``slots`` are the address and the number of ranks of every node, ``agent`` the words that start daemons. ``network``
    is the job's in CIDR notation and ``interface`` the first node's, None if daemons need no network. ``given`` are
    the user's own arguments, and ``chosen`` the variables that the user set.
    """

    slots: Sequence[Tuple[Optional[str], int]]
    agent: Sequence[str]
    network: Optional[str]
    interface: Optional[str]
    given: Sequence[Word]
    chosen: Collection[str]
    as_root: bool


def words(setting: Setting, mpi: Mpi) -> List[Word]:
    """Return mpirun's command line up to the program that it runs once per rank."""
    given, count = setting.given, sum(number for _, number in setting.slots)
    hosts = ",".join("%s:%d" % pair for pair in setting.slots)
    found: List[Word] = [mpi.program, "--host" if mpi.kind == OPENMPI else "-hosts", hosts, "-np", str(count)]
    if mpi.kind == OPENMPI:
        for option, value in (("--bind-to", "none"), ("--map-by", "slot")):
            if option not in given and option[1:] not in given:
                found += [option, value]
    return [*found, *given]


def environment(setting: Setting, mpi: Mpi) -> Dict[str, str]:
    """Return the variables that mpirun and its daemons need, except those that the user set differently."""
    found = _openmpi(setting, mpi) if mpi.kind == OPENMPI else _hydra(setting)
    return {name: value for name, value in found.items() if not _contradicted(name, setting)}


def _openmpi(setting: Setting, mpi: Mpi) -> Dict[str, str]:
    start = {"agent": " ".join(setting.agent), "no_tree_spawn": "1"}
    four = mpi.version.startswith("4")
    prefix, plm = ("OMPI_MCA_", "rsh") if four else ("PRTE_MCA_", "ssh")
    # The plan decides what runs on which node. In a Slurm job, or where pam_slurm_adopt let madctl in, mpirun would
    # query Slurm.
    found = {prefix + "plm": plm, prefix + "ras": "^slurm"}
    found.update({"%splm_%s_%s" % (prefix, plm, key): value for key, value in start.items()})
    # Supervisors own the daemons, so no daemon may leave its session.
    found[prefix + ("orte_leave_session_attached" if four else "prte_leave_session_attached")] = "1"
    if setting.network:
        found[prefix + ("oob_tcp_if_include" if four else "prte_if_include")] = setting.network
        found["OMPI_MCA_btl_tcp_if_include"] = setting.network
    if setting.as_root:
        for name in ("OMPI", "PRTE"):
            found.update({"%s_ALLOW_RUN_AS_ROOT" % name: "1", "%s_ALLOW_RUN_AS_ROOT_CONFIRM" % name: "1"})
    return found


def _hydra(setting: Setting) -> Dict[str, str]:
    found = {
        "HYDRA_RMK": "user",  # Do not read a scheduler's list of hosts.
        "HYDRA_LAUNCHER": "rsh",
        "HYDRA_LAUNCHER_EXEC": setting.agent[0],
        # Each node gets its own variables from its daemon; those of the first node are useless to others.
        "HYDRA_ENV": "none",
    }
    if setting.agent[1:]:
        found["HYDRA_LAUNCHER_EXTRA_ARGS"] = " ".join(setting.agent[1:])
    return {**found, "HYDRA_IFACE": setting.interface} if setting.network and setting.interface else found


def _contradicted(name: str, setting: Setting) -> bool:
    """Return whether the user chose interfaces differently: MPI refuses to start if it gets both choices."""
    if name == "HYDRA_IFACE":
        return bool({"-iface", "--iface"} & set(setting.given))
    if "_if_include" not in name:
        return False
    framework = name.partition("_MCA_")[2].partition("_if_")[0]
    return any(framework + "_if_" in str(word) for word in (*setting.given, *setting.chosen))


def _setting(launch: Launch) -> Setting:
    candidates, request = launch.choices.candidates, launch.case.request
    addresses = [candidate.address for candidate in candidates] if launch.network else ["localhost"]
    return Setting(
        list(zip(addresses, launch.choices.nprocs)),
        [str(word) for word in launch.program(0, run_directory.MPI_AGENT)],
        launch.network,
        candidates[0].interface,
        request.mpi_args,
        request.env,
        request.allow_run_as_root,
    )


def _write(launch: Launch, parts: List[Part]) -> None:
    if launch.case.job.has_models:
        return  # Which MPI it is, is only known in the container of a model.
    mpi, request, setting = recognise(launch.case.facts[0]["mpi"]), launch.case.request, _setting(launch)
    assert mpi is not None
    parts[0].argv = parts[0].prefix = [*words(setting, mpi), *launch.program(0, run_directory.RANK_WRAPPER)]
    for host, part, python, nproc in zip(launch.case.hosts, parts, launch.choices.pythons, launch.choices.nprocs):
        if launch.case.job.uses_python:
            part.rank_argv = command_line.rank_argv(request.work, python)
            part.env.update(threads(nproc) if command_line.is_python(request.work) else {})
        part.env.update(environment(replace(setting, chosen=request.env_of(host)), mpi))


def _files(plan: Plan, node: NodePlan, secret: str) -> Dict[str, str]:
    """Return what our wrapper of a rank reads, since all nodes share mpirun's command line, and our agent's key."""
    words = [unpack(word) for word in node["rank_argv"] or []]
    ranks = {"python": node["python"], "argv": words, "start_timeout": plan["start_timeout"]}
    return {run_directory.RANKS: json.dumps(ranks), **({} if node["node_rank"] else {run_directory.RELAY_KEY: secret})}


def _relay(plan: Plan, node: NodePlan, secret: str) -> Relay:
    """Return a node's part in starting daemons; a plan without ranks leaves open how many there are, and how often."""
    is_known = node["rank_argv"] is not None
    hands = runners.job_of(plan["shape"], plan["runner"]).has_models
    return {
        "key": secret,
        "address": node["address"],
        "seconds": plan["start_timeout"],
        "leads": node["node_rank"] == 0,
        "ranks": node["nproc_per_node"] if is_known else None,
        "many": not is_known,
        "hands": hands,
    }


STARTER = Starter("mpirun", _write, _files, _relay)
