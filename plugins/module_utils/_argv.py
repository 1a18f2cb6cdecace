# SPDX-License-Identifier: Apache-2.0
"""Write the command line and the environment of one node. Pure; private to the collection."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._words import Word, unpack

# Left over from an outer job, any of these silently changes this one.
SCRUBBED = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "GROUP_WORLD_SIZE",
    "ROLE_RANK",
    "ROLE_WORLD_SIZE",
    "ROLE_NAME",
    "NODE_RANK",
    "NNODES",
    "MASTER_ADDR",
    "MASTER_PORT",
    "NPROC_PER_NODE",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "TORCHELASTIC_MAX_RESTARTS",
    "TORCHELASTIC_ERROR_FILE",
    "MPI_LOCALRANKID",
    "MPI_LOCALNRANKS",
)
SCRUBBED_PREFIXES = ("PET_", "OMPI_", "PRTE_", "PMI_", "PMIX_", "HYDRA_")


def stale(names: Sequence[str]) -> List[str]:
    """Pick the inherited variables that must not reach the job."""
    return sorted(name for name in names if name in SCRUBBED or name.startswith(SCRUBBED_PREFIXES))


def is_python(work: Sequence[Word]) -> bool:
    """Tell whether the job's Python runs this work, rather than the system executing it."""
    first: str = unpack(work[0])
    return first == "-m" or first.endswith(".py")


def entry_script(work: Sequence[Word]) -> Optional[str]:
    """Name the file that must exist on every node: a script, or a program given by a path."""
    first: str = unpack(work[0])
    return first if first.endswith(".py") or "/" in first else None


def rank_argv(work: Sequence[Word], python: str) -> List[Word]:
    """Write what one rank executes."""
    return [python, *work] if is_python(work) else list(work)


def torchrun_argv(
    rendezvous: Dict[str, str], nnodes: int, node_rank: int, nproc: int, python: str, program: Sequence[Word]
) -> List[Word]:
    """
    Write torchrun's command line with a static rendezvous.

    Args:
        rendezvous: ``addr``, ``port`` and ``id``, the same on all nodes; ``log_dir``, and ``local_addr``, this
            node's own address, where torchrun would resolve the node's name.
        program: What torchrun starts for every rank.
    """
    return [
        python,
        "-m",
        "torch.distributed.run",
        "--nnodes",
        str(nnodes),
        "--node-rank",
        str(node_rank),
        "--nproc-per-node",
        str(nproc),
        "--rdzv-backend",
        "static",
        "--master-addr",
        rendezvous["addr"],
        "--master-port",
        rendezvous["port"],
        "--local-addr",
        rendezvous["local_addr"],
        "--rdzv-id",
        rendezvous["id"],
        "--log-dir",
        rendezvous["log_dir"],
        "--max-restarts",
        "0",
        "--no-python",
        *program,
    ]
