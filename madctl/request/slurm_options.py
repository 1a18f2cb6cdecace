# SPDX-License-Identifier: Apache-2.0
"""Options of a launch inside of a Slurm job: Slurm's own words, and what becomes of them on sbatch's command line."""

from __future__ import annotations

import argparse
import math
import shlex
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from madctl.errors import refused
from madctl.request.options import hosts_given, taking

ON = ("ssh", "slurm")
# Options that sbatch takes with a value, by the same name.
_WORDS = {
    "partition": ("PARTITION", "partition of the job"),
    "account": ("NAME", "account that the job is charged to"),
    "qos": ("NAME", "quality of service"),
    "time": ("TIME", "time limit of the job, as sbatch takes it"),
    "constraint": ("LIST", "features that nodes must have"),
    "reservation": ("NAME", "use the nodes of this reservation"),
    "nodelist": ("LIST", "nodes that the job must have"),
    "exclude": ("LIST", "nodes that the job must not have"),
    "gpus-per-node": ("N|TYPE:N", "GPUs per node"),
    "gres": ("LIST", "generic resources per node, in the place of --gpus-per-node"),
}
# Words of sbatch that are ours, or that make another kind of job; sbatch takes their beginnings, too.
_PROTECTED = (
    *("job-name", "output", "error", "input", "open-mode", "chdir", "nodes", "ntasks", "ntasks-per-node", "comment"),
    *("ntasks-per-core", "ntasks-per-socket", "ntasks-per-gpu", "cpus-per-gpu", "wrap", "array", "parsable", "wait"),
    *(
        "test-only",
        "het-group",
        "export",
        "export-file",
        "requeue",
        "no-requeue",
        "no-kill",
        "gpus-per-task",
        "gpu-bind",
    ),
    *("clusters", "uid", "gid", "cluster-constraint", "quiet", "help", "version", "usage"),
)
# The rest of a job besides its run: agents have to start, and records to be written.
_MORE_SECONDS = 300.0
# The time limit of a job that only checks.
CHECK_TIME = "10"


def add_slurm_options(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of a launch or of a check."""
    group = parser.add_argument_group("Slurm")
    group.add_argument("--on", choices=ON, default=ON[0], metavar="ssh|slurm", help="where it runs (default ssh)")
    whole = taking("--nodes", kinds.whole(1, kinds.MAX_HOSTS))
    group.add_argument("--nodes", type=whole, metavar="N", help="nodes of the job; those beyond --nnodes are spares")
    for name, (metavar, what) in _WORDS.items():
        group.add_argument(f"--{name}", metavar=metavar, help=what)
    group.add_argument("--exclusive", action="store_true", help="share no node with other jobs")
    what = (
        "directory of the run's files, which this machine and all nodes see (default: ~/.madctl/runs if that is on a "
        "network file system; with --lab: in what the lab shares)"
    )
    group.add_argument("--run-root", metavar="PATH", help=what)
    what = "more options of sbatch, each as --name or --name=value, quoted as for a shell"
    group.add_argument("--sbatch-args", default="", metavar="WORDS", help=what)


def refuse_without_slurm(options: argparse.Namespace) -> None:
    """
    Refuse options that only a job of Slurm takes, where there is none.

    Raises:
        UsageError: If one was given.
    """
    for name in ("nodes", *_WORDS, "exclusive", "run-root", "sbatch-args"):
        if getattr(options, name.replace("-", "_")):
            raise refused("USAGE", f"--{name} needs --on slurm")


def chosen(options: argparse.Namespace, wanted: dict[str, Any]) -> list[str]:
    """
    Return the user's own words for sbatch.

    Args:
        wanted: The variables of the launch.

    Raises:
        UsageError: If something cannot be had in a job.
    """
    _require(options)
    words = []
    for name in _WORDS:
        value = getattr(options, name.replace("-", "_"))
        if value is not None:
            if not value or not value.isprintable():
                raise refused("USAGE", f"--{name} takes a word of Slurm's, not {value!r}")
            words.append(f"--{name}={value}")
    if options.exclusive:
        words.append("--exclusive")
    if options.time is None and wanted.get("madctl_timeout"):
        seconds = float(wanted["madctl_timeout"]) + float(wanted["madctl_start_timeout"]) + _MORE_SECONDS
        words.append(f"--time={math.ceil(seconds / 60)}")
    return [*words, *_more(options.sbatch_args)]


def _require(options: argparse.Namespace) -> None:
    # A lab may have a Slurm of its own.
    if hosts_given(argparse.Namespace(**{**vars(options), "lab": None})):
        raise refused("USAGE", "Slurm chooses the nodes of a job", remedy="use --nodelist, or leave out --on slurm")
    if not options.nodes:
        raise refused("USAGE", "--on slurm needs the number of nodes", remedy="add --nodes N")
    if (options.nnodes or 0) > options.nodes:
        raise refused(
            "USAGE", f"--nnodes {options.nnodes} exceeds --nodes {options.nodes}", remedy="ask for more nodes"
        )
    if options.gpus_per_node and options.gres:
        raise refused("USAGE", "--gpus-per-node and --gres exclude each other")


def _more(text: str) -> list[str]:
    try:
        words = shlex.split(text or "")  # argparse makes something else of "--" alone.
    except ValueError as error:
        raise refused("USAGE", f"--sbatch-args takes words, quoted as for a shell, not {text!r}") from error
    for word in words:
        name, _, _ = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name or not word.isprintable():
            # Any other word would be the script, and short options may take the next word.
            raise refused("USAGE", f"--sbatch-args: {word!r} is not --name or --name=value")
        if any(known.startswith(name) for known in _PROTECTED):
            raise refused("USAGE", f"--sbatch-args: --{name} is set by madctl, or makes another kind of job")
    return words
