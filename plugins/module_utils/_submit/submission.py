# SPDX-License-Identifier: Apache-2.0
"""
Submit a run as a job: write its directory first, and adapt the arguments of a launch that have another meaning in a
job.

This is not atomic, so the intention is written first: if the submitter is killed before it knows the job's id, the job
is found by its name. Private to the collection.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._submit import place, slurm

# How long agents may take from the start of the job: prologs of sites are slow.
_AGENTS_SECONDS = 300.0


class Draft(NamedTuple):
    """A job that is not submitted yet: the id of its run, its directory, the command line of sbatch."""

    run_id: str
    place: Path
    argv: List[str]


def draft(base: Path, run_id: str, nodes: int, chosen: Sequence[str]) -> Draft:
    """
    Describe what would be submitted.

    Args:
        base: The directory of runs.
        chosen: The user's own words for sbatch, already checked.
    """
    return Draft(run_id, base / run_id, slurm.command(run_id, base / run_id, nodes, chosen))


def in_job(arguments: Mapping[str, Any], run_id: str, usual_port: Optional[str] = None) -> Dict[str, Any]:
    """
    Return the arguments of a launch for use in a job.

    Nodes may be shared with other jobs, whose ports are unknown; and Slurm decides which jobs get a node.

    Args:
        usual_port: The default port of the rendezvous, with which the arguments are filled if the user chose none.
    """
    port = arguments.get("master_port")
    port = "auto" if port in (None, usual_port) else port
    return {**arguments, "run_id": run_id, "master_port": port, "skip": sorted({*arguments["skip"], "machine"})}


def write(
    drafted: Draft,
    arguments: Mapping[str, Any],
    files: Mapping[str, str],
    name: str,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """
    Make the directory of a run, which records that it is being submitted.

    Args:
        files: The text of each of our programs, by its path; none if they exist already.
        name: The name of the directory of programs.
        more: What else the job has to know.

    Raises:
        Refused: If that is not possible in the directory of runs.
    """
    request = {"arguments": dict(arguments), "agents_seconds": _AGENTS_SECONDS, **more}
    where = place.make(drafted.place.parent, drafted.run_id, request, files, name)
    place.write_object(where, job_directory.SUBMISSION, {**_about(drafted), "state": "submitting"})


def submit(drafted: Draft, hidden: Sequence[str], conf: str, is_kept: bool = False) -> Tuple[str, List[str]]:
    """
    Submit a job whose directory is written, and return its id and Slurm's remarks.

    Args:
        is_kept: Whether the directory stays if the job was not submitted.

    Raises:
        Refused: If it was not submitted; then its directory is gone.
    """
    try:
        job_id, said = slurm.submit(drafted.argv, hidden, conf)
    except Refused:
        if not is_kept:
            place.remove(drafted.place)
        raise
    submitted(drafted, job_id)
    return job_id, said


def submitted(drafted: Draft, job_id: str) -> None:
    """Record the id of its job."""
    about = {**_about(drafted), "state": "submitted", "job_id": job_id}
    place.write_object(drafted.place, job_directory.SUBMISSION, about)


def test(drafted: Draft, conf: str) -> List[str]:
    """
    Have Slurm test a job whose directory is not written; return its answer.

    Raises:
        Refused: If Slurm refuses it.
    """
    # Slurm does not inspect scripts.
    return slurm.test([*drafted.argv[:-1], "--wrap=true"], conf)


def _about(drafted: Draft) -> Dict[str, Any]:
    return {"run_id": drafted.run_id, "argv": drafted.argv}
