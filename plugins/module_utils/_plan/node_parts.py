# SPDX-License-Identifier: Apache-2.0
"""Write every node's part of a plan: command line, environment, places. Pure; private to the collection."""

from __future__ import annotations

import shlex
from typing import Dict, List

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import NodePlan
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_cards
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import clock
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import order
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Launch, Part


def nodes(launch: Launch) -> List[NodePlan]:
    """Write the parts of all nodes."""
    request, ranks = launch.case.request, range(len(launch.case.hosts))
    parts = [Part(_environment(launch, rank), _own_environment(launch, rank)) for rank in ranks]
    for starter in order.of(request.shape, request.runner):
        starter.write(launch, parts)
    return [_node(launch, rank, part) for rank, part in enumerate(parts)]


def _node(launch: Launch, rank: int, part: Part) -> NodePlan:
    case, choices = launch.case, launch.choices
    # The user's own values win, and stay out of the plan, because plans are shown and logged.
    env = {name: value for name, value in part.env.items() if name not in case.request.env}
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
        "clock_offset": round(clock.lead(case.facts[rank]["time"]), 3),
        "python": choices.pythons[rank],
        "rank_argv": part.rank_argv,
        "model": part.model,
    }


def _environment(launch: Launch, rank: int) -> Dict[str, Word]:
    """Return what the job finds in its environment, unless the user sets it."""
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
    """Return what the user cannot set."""
    own = launch.case.run_dir(rank)
    return {
        run_directory.RUN_ID: launch.case.request.run_id,
        run_directory.RUN_DIR: own,
        run_directory.HOST_FILE_PATH: "%s/%s" % (own, run_directory.HOST_FILE),
    }
