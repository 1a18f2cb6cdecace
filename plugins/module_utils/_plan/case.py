# SPDX-License-Identifier: Apache-2.0
"""The case to judge, and the choices so far. Private to the collection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    command_line,
    run_directory,
    runners,
    visible_gpus,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts, Nodes, Report
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Own
from ansible_collections.madctl.multinode.plugins.module_utils._plan.network_cards import Candidate
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request


@dataclass(frozen=True)
class Case:
    """
    The case to judge: a request, and in rank order the nodes with their facts, as the job sees them.

    ``has_spares`` is whether another node can replace one that the proof refuses.
    """

    request: Request
    hosts: Sequence[str]
    facts: Sequence[Facts]
    has_spares: bool = False

    @property
    def nodes(self) -> Nodes:
        """Hosts with their facts."""
        return list(zip(self.hosts, self.facts))

    @property
    def job(self) -> runners.Runner:
        """What starts the job."""
        return runners.job_of(self.request.shape, self.request.runner)

    @property
    def ranks(self) -> runners.Runner:
        """What starts the ranks."""
        return runners.ranks_by(self.request.runner)

    def run_dir(self, rank: int) -> str:
        """Return a node's directory for this run."""
        base = self.request.run_dir or run_directory.base(self.facts[rank]["user_id"])
        return "%s/%s" % (base.rstrip("/"), self.request.run_id)

    def code_dir(self, rank: int) -> str:
        """Return a node's working directory in the run's copy of the code."""
        parts = [self.run_dir(rank), run_directory.CODE, self.request.chdir]
        return "/".join(part for part in parts if part)


@dataclass(frozen=True)
class Choices:
    """
    The choices so far, all but the port in rank order.

    ``pythons`` are paths of the job's Python, and ``reports`` what they report; ``cwds`` working directories;
    ``candidates`` cards, empty if no network could be chosen; ``port`` is where nodes meet, 0 if it cannot be used;
    ``nprocs`` numbers of ranks.
    """

    pythons: Sequence[str] = ()
    reports: Sequence[Optional[Report]] = ()
    cwds: Sequence[str] = ()
    candidates: Sequence[Candidate] = ()
    port: int = 0
    nprocs: Sequence[int] = ()


Chosen = Tuple[Choices, List[Problem]]


def case_of(request: Request, hosts: Sequence[str], facts: Sequence[Facts], has_spares: bool = False) -> Case:
    """Return the case to judge; a Python at the beginning of the work wins, and is required."""
    named = command_line.chosen_python(request.work, request.shape, None)
    if named:
        own: Dict[str, Own] = {host: {**had, "python": named} for host, had in request.own.items()}
        request = replace(request, python=named, python_required=True, own=own)
    case = Case(request, hosts, facts, has_spares)
    if case.job.has_models:
        return case
    return replace(case, facts=[_as_the_job_sees_it(request.env_of(host), fact) for host, fact in case.nodes])


def _as_the_job_sees_it(env: Mapping[str, Word], fact: Facts) -> Facts:
    """Leave out GPUs that variables hide from the job."""
    own = {name: unpack(env[name]) for name in visible_gpus.NAMES if name in env}
    return {**fact, "gpus": visible_gpus.seen(fact["gpus"], {**(fact.get("visible") or {}), **own})}
