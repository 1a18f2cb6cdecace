# SPDX-License-Identifier: Apache-2.0
"""Options of a launch inside of a Slurm job: Slurm's own words, and what becomes of them on sbatch's command line."""

from __future__ import annotations

import argparse
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import runners
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds, slurm_words
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


def add_slurm_options(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of a launch."""
    group = parser.add_argument_group("Slurm")
    group.add_argument("--on", choices=ON, default=ON[0], metavar="ssh|slurm", help="where it runs (default ssh)")
    whole = taking("--nodes", kinds.whole(1, kinds.MAX_HOSTS))
    group.add_argument("--nodes", type=whole, metavar="N", help="nodes of the job; those beyond --nnodes are spares")
    for name, (metavar, what) in _WORDS.items():
        group.add_argument(f"--{name}", metavar=metavar, help=what)
    group.add_argument("--exclusive", action="store_true", help="share no node with other jobs")
    what = "directory of the run's files, which this machine and all nodes see (with --lab: in what the lab shares)"
    group.add_argument("--run-root", metavar="PATH", help=what)
    what = "submit on HOST, a login node that is reached by SSH (default this machine)"
    group.add_argument("--login", metavar="HOST", help=what)
    what = "more options of sbatch, each as --name or --name=value, quoted as for a shell"
    group.add_argument("--sbatch-args", default="", metavar="WORDS", help=what)


def given(options: argparse.Namespace) -> list[str]:
    """Name the options that only a job of Slurm takes, of those that were given."""
    names = ["nodes", *_WORDS, "exclusive", "run-root", "login", "sbatch-args"]
    return [f"--{name}" for name in names if getattr(options, name.replace("-", "_"))]


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
        words.append(slurm_words.limit(float(wanted["madctl_timeout"]), float(wanted["madctl_start_timeout"])))
    return [*words, *_more(options.sbatch_args)]


def _require(options: argparse.Namespace) -> None:
    # A lab may have a Slurm of its own, and an inventory say how a login node is reached.
    others = {"lab": None, **({"inventory": None, "limit": None} if options.login else {})}
    if hosts_given(argparse.Namespace(**{**vars(options), **others})):
        raise refused("USAGE", "Slurm chooses the nodes of a job", remedy="use --nodelist, or leave out --on slurm")
    if not options.nodes:
        raise refused("USAGE", "--on slurm needs the number of nodes", remedy="add --nodes N")
    if (options.nnodes or 0) > options.nodes:
        raise refused(
            "USAGE", f"--nnodes {options.nnodes} exceeds --nodes {options.nodes}", remedy="ask for more nodes"
        )
    if options.gpus_per_node and options.gres:
        raise refused("USAGE", "--gpus-per-node and --gres exclude each other")
    if runners.ranks_by(options.runner).daemons or runners.job_of(runners.asked_for(options)).has_models:
        raise refused("USAGE", "in a job of Slurm only torchrun and --command can be used")


def _more(text: str) -> list[str]:
    try:
        return slurm_words.more(text or "")  # argparse makes something else of "--" alone.
    except ValueError as error:
        raise refused("USAGE", f"--sbatch-args: {error}") from error
