# SPDX-License-Identifier: Apache-2.0
"""
The program that a work's command line executes, and variables that it must not inherit. Pure; private to the
collection.
"""

from __future__ import annotations

from typing import List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses, launchers, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack

# Any of these, left over from an outer job, silently changes this one.
SCRUBBED = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE"),
    *("ROLE_RANK", "ROLE_WORLD_SIZE", "ROLE_NAME", "NODE_RANK", "NNODES", "NPROC_PER_NODE"),
    *("MASTER_ADDR", "MASTER_PORT", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "TORCHELASTIC_RUN_ID"),
    *("TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS", "TORCHELASTIC_ERROR_FILE"),
    addresses.CAME_IN_BY,
)
SCRUBBED_PREFIXES = ("PET_", "OMPI_", "PRTE_", "PMI_", "PMIX_", "HYDRA_")


def stale(names: Sequence[str]) -> List[str]:
    """Return the inherited variables that must not reach the job."""
    return sorted(name for name in names if name in SCRUBBED or name.startswith(SCRUBBED_PREFIXES))


def is_python(work: Sequence[Word]) -> bool:
    """Return whether the job's Python runs this work, rather than the operating system."""
    first = unpack(work[0])
    return first == "-m" or first.endswith(".py") or named_python(work) is not None


def named_python(work: Sequence[Word]) -> Optional[str]:
    """Return the Python that the work itself begins with, a path or a name."""
    first = unpack(work[0]) if work else ""
    # A relative path may be a different program on each node; it is executed unchanged.
    is_ours = first.startswith("/") or "/" not in first
    return first if is_ours and launchers.is_python(first) and "pypy" not in first else None


def after_python(work: Sequence[Word]) -> List[Word]:
    """Return the words that follow the job's Python."""
    return list(work[1:] if named_python(work) else work)


def chosen_python(work: Sequence[Word], shape: str, python: Optional[str]) -> Optional[str]:
    """Return the path of the job's Python: a path that the work begins with wins over ``python``."""
    named = named_python(work) if runners.job_of(shape).uses_python else None
    return named if named and named.startswith("/") else python


def module(work: Sequence[Word], shape: str) -> Optional[str]:
    """Return the module that the job's Python runs; None if it runs something else."""
    if not work or not runners.job_of(shape).uses_python or not is_python(work):
        return None
    kind, target, _ = launchers.python_target([unpack(word) for word in after_python(work)])
    return target if kind == "module" else None


def entry_script(work: Sequence[Word], shape: str) -> Optional[str]:
    """Return the file that an interpreter must find on every node: a script, or what a model begins with."""
    job, words = runners.job_of(shape), [unpack(word) for word in work]
    if job.entry:
        return job.entry
    if job.uses_python and words and words[0].endswith(".py"):
        return words[0]
    return launchers.script_of(words) if words else None


def program(work: Sequence[Word], shape: str) -> Optional[str]:
    """Return the program that the system executes for this work, as it was typed; None if the job's Python runs it."""
    job = runners.job_of(shape)
    if not work or job.entry or (job.uses_python and is_python(work)):
        return None
    return unpack(work[0])


def relative(work: Sequence[Word], shape: str) -> Optional[str]:
    """Return the part of the work that depends on the working directory: a script, a program, a module."""
    inner = launchers.unwrapped([unpack(word) for word in work])
    executed = program(inner, shape)
    # A Python behind a program that only passes it on also finds its module there.
    has_python = not runners.job_of(shape).entry and inner and named_python(inner)
    named = module(inner, runners.shapes()[0]) if has_python else module(work, shape)
    found = (entry_script(work, shape), executed if executed and "/" in executed else None, named)
    return next((entry for entry in found if entry and not entry.startswith("/")), None)


def rank_argv(work: Sequence[Word], python: str) -> List[Word]:
    """Return what one rank executes."""
    return [python, *after_python(work)] if is_python(work) else list(work)
