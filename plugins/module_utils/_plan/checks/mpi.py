# SPDX-License-Identifier: Apache-2.0
"""Find nodes where mpirun cannot start the job. Pure; private to the collection."""

from __future__ import annotations

import re
from typing import List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices
from ansible_collections.madctl.multinode.plugins.module_utils._plan.comparison import odd, usual
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners.mpirun import TRIED, recognise


def judge(case: Case, choices: Choices) -> List[Problem]:
    """Return what prevents mpirun on these nodes."""
    if case.job.has_models:
        # Which MPI it is, where it is, and which user runs it depends on the model's image.
        return _addresses(case, choices)
    found = _kinds(case)
    for host, facts in case.nodes:
        if facts["user_id"] == 0 and not case.request.allow_run_as_root:
            found.append(problem("MPI_AS_ROOT", host, "mpirun would run as root"))
    run_dirs = [case.run_dir(rank) for rank in range(len(case.hosts))]
    found += _path(case.hosts, "the run directory", run_dirs, "use the same on all nodes: --run-dir")
    pythons = [fact["interpreter"] for fact in case.facts]
    found += _path(case.hosts, "Ansible's Python", pythons, "set one ansible_python_interpreter for all")
    return found + _addresses(case, choices)


def _addresses(case: Case, choices: Choices) -> List[Problem]:
    return [
        problem("MPI_ADDRESS_FAMILY", host, "the job's network is %s on this node" % candidate.network)
        for host, candidate in zip(case.hosts, choices.candidates)
        if candidate.is_ipv6
    ]


def _kinds(case: Case) -> List[Problem]:
    """Find nodes without an MPI that madctl knows, or with a different one than most nodes."""
    known = {host: recognise(facts["mpi"]) for host, facts in case.nodes}
    asked = case.request.mpirun
    found: List[Problem] = []
    for host, mpi in known.items():
        if mpi is None:
            where = "at %s" % asked if asked else "next to the job's Python or on the PATH of ssh sessions"
            found.append(problem("MPI_MISSING", host, "mpirun not found %s" % where))
        elif mpi.kind not in TRIED:
            found.append(problem("MPI_UNSUPPORTED", host, "%s is %s" % (mpi.program, mpi)))
    good = {host: mpi for host, mpi in known.items() if mpi and mpi.kind in TRIED}
    most = usual(list(good.values()))
    found += odd("MPI_MIXED", good.items(), lambda mpi: "%s at %s" % (mpi, mpi.program), "its mpirun is")
    if most and most.version.partition(".")[0] not in TRIED[most.kind]:
        found.append(problem("MPI_UNTRIED", None, str(most)))
    return found


def _path(hosts: Sequence[str], what: str, paths: Sequence[str], remedy: str) -> List[Problem]:
    """Find nodes on which mpirun's single command line cannot work because a path differs."""
    found = []
    for host, path in zip(hosts, paths):
        if path != paths[0]:
            message = "%s is %s here, and %s on %s" % (what, path, paths[0], hosts[0])
            found.append(problem("MPI_PATH_DIFFERS", host, message, remedy))
        elif re.search(r"[\s:\"'\\$`]", path):
            message = "%s is %r, which mpirun does not accept" % (what, path)
            found.append(problem("MPI_PATH_DIFFERS", host, message, remedy))
    return found
