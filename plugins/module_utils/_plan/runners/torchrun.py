# SPDX-License-Identifier: Apache-2.0
"""torchrun on every node, which starts our wrapper for every rank. Pure; private to the collection."""

from __future__ import annotations

from typing import List

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Launch, Part, Starter, threads


def _write(launch: Launch, parts: List[Part]) -> None:
    case, choices = launch.case, launch.choices
    for rank, part in enumerate(parts):
        rendezvous = {
            "addr": launch.address,
            "port": str(launch.port),
            "id": case.request.run_id,
            "log_dir": "%s/%s" % (case.run_dir(rank), run_directory.TORCHRUN),
            "local_addr": choices.candidates[rank].address if rank else launch.address,
        }
        nproc, python = choices.nprocs[rank], choices.pythons[rank]
        part.argv = command_line.torchrun_argv(rendezvous, len(parts), rank, nproc, python, [])
        # A person or a script appends Python scripts, so the option that refuses them is left out.
        part.prefix = part.argv[:-1]
        if case.job.uses_python:
            shim = launch.program(rank, run_directory.RANK_WRAPPER)
            # The work's own options are none of torchrun's, whatever their names are.
            part.argv += ["--", *shim, *command_line.rank_argv(case.request.work, python)]
            part.env.update(threads(nproc))


STARTER = Starter("torchrun", _write)
