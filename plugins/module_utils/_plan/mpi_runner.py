# SPDX-License-Identifier: Apache-2.0
"""
Know the kinds of MPI, and write mpirun's command line and environment. Pure; private to the collection.

What starts the daemons stands in the environment, so that the command line, which a script of the user
gets as a prefix, is short and has no word with a space in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Mpirun, Nodes
from ansible_collections.madctl.multinode.plugins.module_utils._request.validation import reserved

OPENMPI, MPICH = "Open MPI", "MPICH"
# Major versions that the tests run.
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
    What mpirun is to do; ``addresses`` and ``slots`` are in rank order.

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
    """Tell the kind and version of an MPI by what ``mpirun --version`` prints; None without one."""
    if not found:
        return None
    for kind, pattern in _KINDS:
        match = pattern.search(found["text"])
        if match:
            return Mpi(found["program"], kind, match.group(1) or "")
    return Mpi(found["program"], "unknown", "")


def judge(nodes: Nodes, mpirun: Optional[str], words: Sequence[str], as_root: bool) -> List[Problem]:
    """
    Find what stands against mpirun on these nodes.

    Args:
        mpirun: The path that was asked for.
        words: The user's own words for mpirun.
        as_root: Whether root may run it.
    """
    known = {host: recognise(facts["mpi"]) for host, facts in nodes}
    found: List[Problem] = []
    for host, mpi in known.items():
        if mpi is None:
            where = "at %s" % mpirun if mpirun else "beside the job's Python or on the PATH of its ssh"
            found.append(problem("MPI_MISSING", host, "no mpirun %s" % where))
        elif mpi.kind not in TRIED:
            found.append(problem("MPI_UNSUPPORTED", host, "%s is %s" % (mpi.program, mpi)))
    good = [mpi for mpi in known.values() if mpi and mpi.kind in TRIED]
    if good:
        kinds = [(mpi.kind, mpi.version, mpi.program) for mpi in good]
        usual = max(kinds, key=kinds.count)
        for host, mpi in known.items():
            if mpi in good and (mpi.kind, mpi.version, mpi.program) != usual:
                message = "%s at %s, most nodes have %s %s at %s" % (mpi, mpi.program, *usual)
                found.append(problem("MPI_MIXED", host, message))
        if usual[1].partition(".")[0] not in TRIED[usual[0]]:
            found.append(problem("MPI_UNTRIED", None, "%s %s" % usual[:2]))
    for host, facts in nodes:
        if facts["user_id"] == 0 and not as_root:
            found.append(problem("MPI_AS_ROOT", host, "mpirun would run as root"))
    for word in reserved(words):
        found.append(problem("MPI_ARGS_RESERVED", None, "%s is the plan's to decide" % word))
    return found


def judge_paths(hosts: Sequence[str], interpreters: Sequence[str], run_dirs: Sequence[str]) -> List[Problem]:
    """Find nodes where mpirun's one command line could not work, since a path is another one there."""
    found = []
    for what, paths, remedy in (
        ("the run directory", run_dirs, "give all the same: --run-dir"),
        ("Ansible's Python", interpreters, "give all the same ansible_python_interpreter"),
    ):
        for host, path in zip(hosts, paths):
            if path != paths[0]:
                message = "%s is %s here, and %s on %s" % (what, path, paths[0], hosts[0])
                found.append(problem("MPI_PATH_DIFFERS", host, message, remedy))
            elif re.search(r"[\s:\"'\\$`]", path):
                message = "%s is %r, which mpirun cannot take" % (what, path)
                found.append(problem("MPI_PATH_DIFFERS", host, message, remedy))
    return found


def argv(launch: Launch) -> List[str]:
    """Write mpirun's command line up to the program; what follows it is run once a rank."""
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
    """Give the variables that mpirun and its daemons need, without those that the user set otherwise."""
    agent = [launch.interpreter, "-I", "-S", _program(launch, run_directory.MPI_AGENT)]
    wanted = _openmpi(launch, agent) if launch.mpi.kind == OPENMPI else _hydra(launch, agent)
    return {name: value for name, value in wanted.items() if not _contradicted(name, launch)}


def _openmpi(launch: Launch, agent: Sequence[str]) -> Dict[str, str]:
    start = {"agent": " ".join(agent), "no_tree_spawn": "1"}
    four = launch.mpi.version.startswith("4")
    prefix, plm = ("OMPI_MCA_", "rsh") if four else ("PRTE_MCA_", "ssh")
    found = {prefix + "plm": plm, **{"%splm_%s_%s" % (prefix, plm, key): value for key, value in start.items()}}
    # The supervisors keep the daemons; one that left their sight would be nobody's.
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
        # Every node's own variables, from its own daemon; those of the first are no use to others.
        "HYDRA_ENV": "none",
    }
    return {**found, "HYDRA_IFACE": launch.interface} if launch.network else found


def _contradicted(name: str, launch: Launch) -> bool:
    """Tell whether the user chose interfaces otherwise: MPI refuses to start when it is told both."""
    if name == "HYDRA_IFACE":
        return bool({"-iface", "--iface"} & set(launch.words))
    if "_if_include" not in name:
        return False
    framework = name.partition("_MCA_")[2].partition("_if_")[0]
    said = [*launch.words, *launch.names]
    return any(framework + "_if_" in word for word in said)
