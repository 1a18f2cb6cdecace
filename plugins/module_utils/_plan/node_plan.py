# SPDX-License-Identifier: Apache-2.0
"""Write every node's share of a plan: command line, environment, places. Pure; private to the collection."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import ModelWork, NodePlan
from ansible_collections.madctl.multinode.plugins.module_utils._plan import (
    checks,
    madengine_runner,
    mpi_runner,
    network_cards,
)
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request


@dataclass(frozen=True)
class Chosen:
    """What was decided, everything but the request in rank order; ``mpi`` where mpirun is the runner."""

    request: Request
    hosts: Sequence[str]
    facts: Sequence[Facts]
    candidates: Sequence[network_cards.Candidate]
    pythons: Sequence[str]
    cwds: Sequence[str]
    nprocs: Sequence[int]
    addr: str
    port: int
    mpi: Optional[mpi_runner.Launch] = None

    @property
    def world_size(self) -> int:
        """The number of ranks."""
        return sum(self.nprocs)


def run_dir(request: Request, fact: Facts) -> str:
    """Name a node's directory for this run."""
    base = request.run_dir or run_directory.base(fact["user_id"])
    return "%s/%s" % (base.rstrip("/"), request.run_id)


def nodes(chosen: Chosen) -> List[NodePlan]:
    """Write the shares of all nodes."""
    return [_node(chosen, rank) for rank in range(len(chosen.hosts))]


def _node(chosen: Chosen, rank: int) -> NodePlan:
    request, fact, candidate = chosen.request, chosen.facts[rank], chosen.candidates[rank]
    runner = _mpi_runner(chosen, rank) if chosen.mpi else _torchrun(chosen, rank)
    # The user's own values win, and stay out of the plan, since plans are shown and logged.
    env = {name: value for name, value in _environment(chosen, rank).items() if name not in request.env}
    env.update(_own_environment(chosen, rank, runner))
    script = request.shape == "script"
    rank_argv = command_line.rank_argv(request.work, chosen.pythons[rank]) if script else None
    return {
        "host": chosen.hosts[rank],
        "node_rank": rank,
        "address": candidate.address,
        "interface": candidate.interface,
        "nproc_per_node": chosen.nprocs[rank],
        "cwd": chosen.cwds[rank],
        "argv": _command(chosen, rank, runner),
        "env": env,
        "run_dir": run_dir(request, fact),
        "clock_offset": round(checks.lead(fact["time"]), 3),
        "python": chosen.pythons[rank],
        "rank_argv": rank_argv if chosen.mpi else None,
        "model": _model(chosen, rank) if request.shape == "model" else None,
    }


def _command(chosen: Chosen, rank: int, runner: List[Word]) -> List[Word]:
    """Write what the node's supervisor executes."""
    request = chosen.request
    if chosen.mpi and rank:
        return []
    if request.shape == "command":
        return list(request.work)
    python = [chosen.facts[rank]["interpreter"], "-I", "-S"]
    programs = "%s/%s/" % (run_dir(request, chosen.facts[rank]), run_directory.BIN)
    if request.shape == "model":
        return [*python, programs + run_directory.LAUNCHER, run_directory.MADENGINE_WRAPPER]
    if chosen.mpi:
        return runner
    shim = [*python, programs + run_directory.RANK_WRAPPER]
    # The work's own options are none of torchrun's, whatever they are called.
    return [*runner, "--", *shim, *command_line.rank_argv(request.work, chosen.pythons[rank])]


def _multi_node_args(chosen: Chosen, rank: int) -> Dict[str, Any]:
    """Write what madengine calls so; numbers are numbers."""
    interface = chosen.candidates[rank].interface
    return {
        "RUNNER": chosen.request.runner,
        # What nobody counted here madengine counts itself.
        **({"MAD_RUNTIME_NGPUS": chosen.nprocs[rank]} if _is_counted(chosen) else {}),
        "NNODES": len(chosen.hosts),
        "NODE_RANK": rank,
        "MASTER_ADDR": chosen.addr,
        "MASTER_PORT": chosen.port,
        "HOST_LIST": "",
        "NCCL_SOCKET_IFNAME": network_cards.for_nccl(chosen.candidates[rank], chosen.facts[rank]),
        "GLOO_SOCKET_IFNAME": interface,
    }


def _is_counted(chosen: Chosen) -> bool:
    """Tell whether the number of ranks is more than the one that every node has."""
    request = chosen.request
    counted = any(fact["gpus"]["count"] for fact in chosen.facts)
    return request.nproc_per_node != "auto" or any(request.slots) or counted


def _model(chosen: Chosen, rank: int) -> ModelWork:
    """Say what this node's madengine is to do."""
    request, fact = chosen.request, chosen.facts[rank]
    found, version = fact.get("madengine"), madengine_runner.major_of(fact, chosen.facts)
    own = madengine_runner.merge(request.additional_context, version != 2)
    merged = madengine_runner.context(own, _multi_node_args(chosen, rank), request.run_id)
    is_limited = any(model["timeout"] for model in fact.get("models") or [])
    program = (found and found["program"]) or "madengine"
    containers = found["containers"] if found else []
    replaced = [entry for entry in containers if madengine_runner.is_replaced(entry, request.replace_containers)]
    return {
        "argv": madengine_runner.argv(
            program, version, request.tags, merged, request.force_mirror_local, request.work, is_limited
        ),
        "replaced": [entry["name"] for entry in replaced],
        "leads": rank == 0,
        "many": len(chosen.hosts) > 1,
        "version": version,
        "table": madengine_options.table(request.work),
        "skips": madengine_options.skips(request.work, merged),
    }


def _torchrun(chosen: Chosen, rank: int) -> List[Word]:
    """Write torchrun's command line for programs of any kind."""
    rendezvous = {
        "addr": chosen.addr,
        "port": str(chosen.port),
        "id": chosen.request.run_id,
        "log_dir": "%s/%s" % (run_dir(chosen.request, chosen.facts[rank]), run_directory.TORCHRUN),
        "local_addr": chosen.addr if rank == 0 else chosen.candidates[rank].address,
    }
    nproc = chosen.nprocs[rank]
    return command_line.torchrun_argv(rendezvous, len(chosen.hosts), rank, nproc, chosen.pythons[rank], [])


def _mpi_runner(chosen: Chosen, rank: int) -> List[Word]:
    """Write mpirun's command line for programs of any kind, which is of use on the first node only."""
    assert chosen.mpi is not None
    return [] if rank else list(mpi_runner.argv(chosen.mpi))


def _environment(chosen: Chosen, rank: int) -> Dict[str, Word]:
    """Write what the job finds in its environment, unless the user says otherwise."""
    request, fact, candidate, nproc = chosen.request, chosen.facts[rank], chosen.candidates[rank], chosen.nprocs[rank]
    threads = nproc > 1 and request.shape == "script" and (not chosen.mpi or command_line.is_python(request.work))
    return {
        "MASTER_ADDR": chosen.addr,
        "MASTER_PORT": str(chosen.port),
        "NNODES": str(len(chosen.hosts)),
        "NODE_RANK": str(rank),
        "NPROC_PER_NODE": str(nproc),
        "WORLD_SIZE": str(chosen.world_size),
        "NCCL_SOCKET_IFNAME": network_cards.for_nccl(candidate, fact),
        "GLOO_SOCKET_IFNAME": candidate.interface,
        **({"NCCL_SOCKET_FAMILY": "AF_INET6"} if ":" in candidate.address else {}),
        "PYTHONUNBUFFERED": "1",
        # torchrun sets this too, with a banner on every node.
        **({"OMP_NUM_THREADS": "1"} if threads else {}),
        **(mpi_runner.environment(chosen.mpi) if chosen.mpi else {}),
    }


def _own_environment(chosen: Chosen, rank: int, runner: List[Word]) -> Dict[str, Word]:
    """Write what the user cannot say otherwise."""
    own = run_dir(chosen.request, chosen.facts[rank])
    # torchrun is to start Python scripts when a person or a script appends them.
    prefix = runner if chosen.mpi else runner[:-1]
    found: Dict[str, Word] = {
        run_directory.RUN_ID: chosen.request.run_id,
        run_directory.RUN_DIR: own,
        run_directory.HOST_FILE_PATH: "%s/%s" % (own, run_directory.HOST_FILE),
    }
    if chosen.request.shape == "model":
        return {**madengine_runner.environment(_multi_node_args(chosen, rank), chosen.nprocs[rank], rank), **found}
    return {run_directory.RUNNER: shlex.join(map(str, prefix)), **found} if prefix else found
