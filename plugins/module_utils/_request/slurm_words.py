# SPDX-License-Identifier: Apache-2.0
"""
The user's own words for sbatch, and words that would change the job into another kind.

Pure; private to the collection.
"""

from __future__ import annotations

import math
import shlex
from typing import Any, List, Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME, OF_SLURM

# Words of sbatch that madctl sets itself, or that create another kind of job; sbatch also accepts abbreviations.
PROTECTED = (
    *("job-name", "output", "error", "input", "open-mode", "chdir", "nodes", "ntasks", "ntasks-per-node", "comment"),
    *("ntasks-per-core", "ntasks-per-socket", "ntasks-per-gpu", "cpus-per-gpu", "wrap", "array", "parsable", "wait"),
    *("test-only", "het-group", "export", "export-file", "requeue", "no-requeue", "no-kill", "signal", "gpus-per-task"),
    *("gpu-bind", "clusters", "uid", "gid", "cluster-constraint", "quiet", "help", "version", "usage"),
)
# The time of a job around its run: agents have to start, and records to be written.
_MORE_SECONDS = 300.0


def more(text: str) -> List[str]:
    """
    Return the words of more options.

    Raises:
        ValueError: If they are something else, or protected; the message names the word.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError("%r is not words, quoted as for a shell" % text) from error
    for word in words:
        name = word[2:].partition("=")[0]
        if not word.startswith("--") or not name or not word.isprintable():
            # Any other word would be the script, and short options may take the next word.
            raise ValueError("%r is not --name or --name=value" % word)
        if any(known.startswith(name) for known in PROTECTED):
            raise ValueError("--%s is set by madctl, or makes another kind of job" % name)
    return words


def limit(timeout: float, start_timeout: float) -> str:
    """Format the time limit of a job, so that its run ends gracefully before Slurm ends the job."""
    return "--time=%d" % math.ceil((timeout + start_timeout + _MORE_SECONDS) / 60)


def words(given: Mapping[str, Any]) -> List[str]:
    """
    Return the words for sbatch that the parsed arguments of a task request.

    Raises:
        ValueError: As ``more``.
    """
    found = ["%s=%s" % (row.option, given[row.name]) for row in OF_SLURM if given.get(row.name)]
    found += ["--exclusive"] if given.get("slurm_exclusive") else []
    if given.get("timeout") and not given.get("slurm_time"):
        found.append(limit(given["timeout"], given.get("start_timeout") or BY_NAME["start_timeout"].default))
    return found + more(given.get("slurm_args") or "")


def contradictions(given: Mapping[str, Any]) -> List[Problem]:
    """Find options in the parsed arguments of a task that are impossible in a job."""
    found = []
    nodes, wanted = given.get("slurm_nodes") or 0, given.get("nnodes") or 0
    if not nodes:
        found.append(_usage("the number of nodes of the job is missing", "--nodes N"))
    elif wanted > nodes:
        said = (BY_NAME["nnodes"].variable, wanted, BY_NAME["slurm_nodes"].variable, nodes)
        found.append(_usage("%s %d exceeds %s %d" % said, "ask for more nodes"))
    if not given.get("run_root"):
        message = "a job needs a directory that its submitter and all of its nodes see"
        found.append(_usage(message, "--run-root PATH"))
    if given.get("slurm_gpus_per_node") and given.get("slurm_gres"):
        both = " and ".join(BY_NAME[name].variable for name in ("slurm_gpus_per_node", "slurm_gres"))
        found.append(_usage("%s exclude each other" % both, "leave one of them out"))
    try:
        more(given.get("slurm_args") or "")
    except ValueError as error:
        found.append(_usage("%s: %s" % (BY_NAME["slurm_args"].variable, error), "leave it out"))
    return found


def _usage(message: str, remedy: str) -> Problem:
    return problem("USAGE", None, message, remedy)
