# SPDX-License-Identifier: Apache-2.0
"""Options of a launch in a Slurm job: Slurm's own options, and their form on sbatch's command line."""

from __future__ import annotations

import argparse
import re
import signal
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_signals
from ansible_collections.madctl.multinode.plugins.module_utils._request import slurm_words
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME
from madctl.errors import refused
from madctl.request.options import hosts_given

# Options with a value that sbatch has under the same name.
_WORDS = {
    "partition": ("PARTITION", "partition of the job"),
    "account": ("NAME", "account that the job is charged to"),
    "qos": ("NAME", "quality of service"),
    "time": ("TIME", "time limit of the job, as sbatch takes it"),
    "constraint": ("LIST", "features that nodes must have"),
    "reservation": ("NAME", "use the nodes of this reservation"),
    "nodelist": ("LIST", "nodes that the job must have"),
    "exclude": ("LIST", "nodes that the job must not have"),  # its help is among the options about nodes
    "gpus-per-node": ("N|TYPE:N", "GPUs per node"),
    "gres": ("LIST", "generic resources per node, instead of --gpus-per-node"),
    "dependency": ("LIST", "wait for other jobs, as sbatch takes it"),
    "begin": ("TIME", "wait until a time, as sbatch takes it"),
}
# The options only for Slurm.
_OF_OTHERS = ("gpus-per-node", "exclude")
ALONE = tuple(f"--{name}" for name in (*_WORDS, "requeue", "signal", "login", "sbatch-args") if name not in _OF_OTHERS)
# Flags (batch program, reservation overlap), a name or number, and how many seconds before the end.
_SIGNAL = re.compile(r"([BRbr]{1,2}:)?([A-Za-z]{1,12}[0-9]{0,2}|[0-9]{1,2})(@[0-9]{1,5})?")
# The time limit of the job of a check.
CHECK_TIME = "10"


def add_slurm_options(parser: argparse.ArgumentParser) -> None:
    """Add the options only for Slurm to the parser of a launch or of a check."""
    group = parser.add_argument_group("Slurm")
    for name, (metavar, what) in _WORDS.items():
        if f"--{name}" in ALONE:
            group.add_argument(f"--{name}", metavar=metavar, help=what)
    what = "let Slurm start the job again after a preemption or the failure of its first node"
    group.add_argument("--requeue", action="store_true", help=what)
    what = "send SIG to the ranks SECONDS before the time limit of the job"
    group.add_argument("--signal", metavar="SIG@SECONDS", help=what)
    what = "submit on HOST, a login node reached over SSH (default: this machine)"
    group.add_argument("--login", metavar="HOST", help=what)
    what = "extra options of sbatch, each as --name or --name=value, quoted as for a shell"
    group.add_argument("--sbatch-args", default="", metavar="WORDS", help=what)


def chosen(options: argparse.Namespace, wanted: dict[str, Any]) -> list[str]:
    """
    Return the user's own options for sbatch.

    Args:
        wanted: The variables of the launch.

    Raises:
        UsageError: If an option is not possible in a job.
    """
    _require(options)
    words = []
    for name in _WORDS:
        value = getattr(options, name.replace("-", "_"))
        if value is not None:
            if not value or not value.isprintable():
                raise refused("USAGE", f"--{name} takes a word of Slurm's, not {value!r}")
            words.append(f"--{name}={value}")
    words += [f"--{name}" for name in ("exclusive", "requeue") if getattr(options, name)]
    if options.signal is not None:
        words.append(f"--signal={_signal(options.signal)}")
    if options.time is None and wanted.get("madctl_timeout"):
        start = wanted.get("madctl_start_timeout") or BY_NAME["start_timeout"].default
        words.append(slurm_words.limit(float(wanted["madctl_timeout"]), float(start)))
    return [*words, *_more(options.sbatch_args)]


def _signal(text: str) -> str:
    """
    Return the value of sbatch's --signal: our program on the first node gets the signal, and passes it to all ranks.

    Slurm itself would also send it to the runner, which would end, or, depending on the site, to no rank at all.
    """
    found = _SIGNAL.fullmatch(text)
    if found is None or not _is_for_ranks(found[2]):
        known = "SIG@SECONDS, such as USR1@120; not KILL, STOP, TERM, CONT, URG or CHLD"
        raise refused("USAGE", f"--signal takes {known}, not {text!r}")
    flags = "".join(sorted({*(found[1] or "").rstrip(":").upper(), "B"}))
    return f"{flags}:{found[2]}{found[3] or ''}"


def _is_for_ranks(name: str) -> bool:
    """Return whether a signal has no meaning for our own programs or for the kernel."""
    try:
        number = int(name) if name.isdigit() else signal.Signals["SIG" + name.upper().removeprefix("SIG")]
        return signal.Signals(number) in job_signals.FOR_RANKS
    except (KeyError, ValueError):
        return False


def _require(options: argparse.Namespace) -> None:
    # A lab may have its own Slurm, and an inventory may say how to reach a login node.
    others = {"lab": None, **({"inventory": None, "limit": None} if options.login else {})}
    if hosts_given(argparse.Namespace(**{**vars(options), **others})):
        raise refused("USAGE", "Slurm chooses the nodes of a job", remedy="use --nodelist, or leave out --on slurm")
    for name in ("requeue", "signal") if options.login else ():
        if getattr(options, name):
            raise refused("USAGE", f"--{name} cannot be used with --login", remedy=f"run madctl on {options.login}")
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
        return slurm_words.more(text or "")  # argparse turns "--" alone into another value.
    except ValueError as error:
        raise refused("USAGE", f"--sbatch-args: {error}") from error
