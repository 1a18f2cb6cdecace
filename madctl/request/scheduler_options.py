# SPDX-License-Identifier: Apache-2.0
"""Options for where a launch runs, options common to several schedulers, and the refusal of foreign options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from madctl.errors import refused
from madctl.request import kubernetes_options, slurm_options
from madctl.request.options import taking

ON = ("ssh", "slurm", "k8s")
_SLURM, _KUBERNETES = ON[1:]
_SHARED = ("--nodes", "--gpus-per-node", "--exclusive", "--run-root")
_OF = {
    **dict.fromkeys(_SHARED, (_SLURM, _KUBERNETES)),
    **dict.fromkeys(slurm_options.ALONE, (_SLURM,)),
    **dict.fromkeys(kubernetes_options.ALONE, (_KUBERNETES,)),
}


def add_scheduler_options(parser: argparse.ArgumentParser, places: Sequence[str] = ON) -> None:
    """
    Add these options to the parser of a launch or of a check.

    Args:
        places: Where the command can run.
    """
    is_pods = _KUBERNETES in places
    group = parser.add_argument_group("job of a scheduler")
    what = f"where to run the job (default {ON[0]})"
    group.add_argument("--on", choices=places, default=ON[0], metavar="|".join(places), help=what)
    whole = taking("--nodes", kinds.whole(1, kinds.MAX_HOSTS))
    what = "nodes of the job; those beyond --nnodes are spares"
    what += "; on k8s the same as --nnodes" if is_pods else ""
    group.add_argument("--nodes", type=whole, metavar="N", help=what)
    group.add_argument("--gpus-per-node", metavar="N|TYPE:N", help="GPUs per node" + "; on k8s N alone" * is_pods)
    what = "do not share nodes with other jobs" + "; on k8s with other pods of madctl" * is_pods
    group.add_argument("--exclusive", action="store_true", help=what)
    what = (
        "directory for the run's files, visible to this machine and all nodes (default: ~/.madctl/runs if on a "
        "network file system; with --lab: in the lab's shared directory)"
    )
    what += "; on k8s in a --volume, which keeps them" if is_pods else ""
    group.add_argument("--run-root", metavar="PATH", help=what)
    slurm_options.add_slurm_options(parser)
    if is_pods:
        kubernetes_options.add_kubernetes_options(parser)


def refuse_foreign(options: argparse.Namespace) -> None:
    """
    Refuse options that have no meaning where the run takes place.

    Raises:
        UsageError: If one was given.
    """
    if getattr(options, "sync", None) is not None and getattr(options, "login", None):
        raise refused("USAGE", "--sync and --login exclude each other", remedy="submit on the login node itself")
    for option, places in _OF.items():
        if getattr(options, option[2:].replace("-", "_"), None) and options.on not in places:
            raise refused("USAGE", f"{option} needs --on {kinds.one_of(places)}")


def foreign(on: str) -> set[str]:
    """Return the options that have no meaning in a place."""
    found = {option for option, places in _OF.items() if on not in places}
    return found | (kubernetes_options.about_hosts() if on == _KUBERNETES else set())
