# SPDX-License-Identifier: Apache-2.0
"""torchrun on every node, which starts our wrapper for every rank. Pure; private to the collection."""

from __future__ import annotations

from typing import List

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Launch, Part, Starter, threads


def _write(launch: Launch, parts: List[Part]) -> None:
    case, choices = launch.case, launch.choices
    for rank, part in enumerate(parts):
        part.argv = argv(launch, rank)
        # Users or scripts append Python scripts, so the option that refuses them is left out.
        part.prefix = part.argv[:-1]
        if case.job.uses_python:
            shim = launch.program(rank, run_directory.RANK_WRAPPER)
            # The work's own options are not torchrun's, whatever their names are.
            part.argv += ["--", *shim, *command_line.rank_argv(case.request.work, choices.pythons[rank])]
            part.env.update(threads(choices.nprocs[rank]))


def argv(launch: Launch, rank: int) -> List[Word]:
    """Return torchrun's command line, with a static rendezvous, up to the program that it starts for every rank."""
    case, choices = launch.case, launch.choices
    return [
        *(choices.pythons[rank], "-m", "torch.distributed.run"),
        *("--nnodes", str(len(case.hosts))),
        *("--node-rank", str(rank)),
        *("--nproc-per-node", str(choices.nprocs[rank])),
        *("--rdzv-backend", "static"),
        *("--master-addr", launch.address),
        *("--master-port", str(launch.port)),
        # Otherwise torchrun would resolve the node's name.
        *("--local-addr", choices.candidates[rank].address if rank else launch.address),
        *("--rdzv-id", case.request.run_id),
        *("--log-dir", "%s/%s" % (case.run_dir(rank), run_directory.TORCHRUN)),
        *("--max-restarts", "0"),
        "--no-python",
    ]


STARTER = Starter("torchrun", _write)
