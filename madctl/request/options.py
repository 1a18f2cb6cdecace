# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share; the table of options defines what each takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._request.kinds import Kind, UnfitError
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_OPTION
from madctl.errors import refused
from madctl.request.help_text import Example
from madctl.request.parser import Parser


def taking(option: str, kind: Kind) -> Callable[[str], Any]:
    """Make the function that parses the value of an option."""

    def parse(text: str) -> Any:
        try:
            return kind.parse(text)
        except UnfitError as error:
            close = kinds.meant(str(error.value), kind.known)
            raise refused("USAGE", kind.refusal(option, error.value), remedy=close) from error

    return parse


def add_option(group: Any, option: str, *, help: str, **more: Any) -> None:  # noqa: A002  argparse's own name
    """Add an option from the table, which has the values that it takes, and its default."""
    row = BY_OPTION[option]
    if row.kind is kinds.SWITCH:
        given: dict[str, Any] = {"action": "store_true"}
    elif row.split is not None:
        given = {"action": "append", "default": [], "type": taking(option, row.kind)}
    else:
        given = {"default": row.default, "type": taking(option, row.kind), "choices": row.kind.choices or None}
    group.add_argument(option, help=help, **{**given, **more})


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    about: str,
    examples: Sequence[tuple[str, str]] = (),
) -> Parser:
    """
    Add a command: its function, a summary for the list of commands, and the description in its own help.

    Args:
        examples: Pairs of what a command line does, in a few words, and the command line.
    """
    parser: Parser = commands.add_parser(name, help=summary, description=about)
    parser.set_defaults(run=run)
    parser.examples = [Example(*each) for each in examples]
    return parser


def add_options_of(parser: argparse.ArgumentParser, other: argparse.ArgumentParser) -> None:
    """Add all options of another command, in the same groups, except those that print help."""
    for group in other._action_groups:
        options = [action for action in group._group_actions if action.option_strings]
        own = [action for action in options if not isinstance(action, argparse._HelpAction)]
        is_plain = group.title in ("positional arguments", "options")
        place: Any = parser if is_plain or not own else parser.add_argument_group(group.title)
        for action in own:
            place._add_action(action)


def add_host_options(parser: argparse.ArgumentParser, with_exclude: bool = False) -> None:
    """
    Add the options that select nodes and say how to reach them.

    Args:
        with_exclude: Whether the command has an option to leave out some of the nodes.
    """
    group = parser.add_argument_group("nodes")
    group.add_argument("--hosts", metavar="LIST", help="gpu[01-16]!gpu07, a,b,c, @group, user@host:port")
    if with_exclude:
        group.add_argument("--exclude", metavar="LIST", help="leave out these nodes: gpu[3,7], @group")
    group.add_argument(
        "--hostfile", metavar="FILE", help="one host per line, optionally with slots=N, or the file of PBS, LSF or SGE"
    )
    group.add_argument("-i", "--inventory", action="append", metavar="PATH", help="an Ansible inventory (repeatable)")
    group.add_argument("--limit", metavar="PATTERN", help="use only these hosts of the inventory")
    group.add_argument("--lab", metavar="NAME", help="use the hosts of a lab: all, or those of --hosts or --hostfile")
    group.add_argument("--user", metavar="NAME", help="log in as this user")
    group.add_argument("--port", type=taking("--port", kinds.PORT), metavar="N", help="SSH port")
    group.add_argument("--ssh-config", metavar="FILE", help="use this SSH configuration file instead of your own")
    group.add_argument("--become-password-file", metavar="FILE", help="file that holds the sudo password of the nodes")
    group.add_argument(
        "--accept-new-host-keys", action="store_true", help="accept host keys that are not in known_hosts yet"
    )
    add_profile_option(parser)


def add_profile_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that chooses a profile of settings."""
    what = "use the settings in [profile.NAME] of madctl.toml"
    parser.add_argument("--profile", metavar="NAME", help=what)


def hosts_given(options: argparse.Namespace) -> bool:
    """Return whether the command line names nodes; the defaults, an allocation or this machine, do not count."""
    named = (options.hosts, options.hostfile, options.inventory, options.limit, options.lab)
    return any(value is not None for value in named)


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for how the job runs, and for how nodes are checked."""
    job, ranks, limits = map(parser.add_argument_group, ("job", "ranks and network", "limits and restarts"))
    what = "run the command once per node (with mpirun: on the first node only)"
    job.add_argument("--command", dest="as_command", action="store_true", help=what)
    add_option(job, "--runner", help="what starts the ranks (default torchrun)")
    add_option(job, "--mpirun", metavar="PATH", help="mpirun on every node (default: next to --python, or on PATH)")
    quoted = kinds.ARGUMENT._replace(read=BY_OPTION["--mpi-args"].parse)
    what = "extra arguments of mpirun, quoted as for a shell"
    add_option(job, "--mpi-args", action="store", type=taking("--mpi-args", quoted), metavar="WORDS", help=what)
    add_option(job, "--allow-run-as-root", help="let root run mpirun")
    add_option(job, "--python", metavar="PATH", help="Python of the job (default: python3 on your PATH)")
    add_option(ranks, "--nproc-per-node", metavar="N|auto|gpu", help="processes per node (default auto)")
    add_option(ranks, "--master-addr", metavar="ADDRESS", help="rendezvous address on the first node")
    what = "rendezvous port (default 29500; in a job of Slurm auto)"
    add_option(ranks, "--master-port", default=None, metavar="N|auto", help=what)
    add_option(ranks, "--interface", metavar="NAME|CIDR", help="interface or network to use on every node")
    add_option(job, "--shared-path", metavar="PATH[:ro]", help="path that must be on shared storage (repeatable)")
    what = "also treat this file-system type as shared (repeatable)"
    add_option(job, "--shared-fstype", metavar="TYPE", help=what)
    what = "nodes with different GPU counts: fail (same, default), use the smallest (min), use all (per-node)"
    add_option(ranks, "--gpus", help=what)
    what = "set a variable, or pass on yours (repeatable)"
    job.add_argument("--env", action="append", default=[], metavar="NAME[=VALUE]", help=what)
    job.add_argument("--env-file", metavar="FILE", help="file of variables, one NAME=VALUE per line")
    add_option(job, "--chdir", metavar="PATH", help="working directory on every node (default: this one)")
    add_option(job, "--sync", metavar="DIR", help="send this directory to all nodes, and run in that copy")
    what = "shell text that runs before the job on every node: 'module load cuda', 'source venv/bin/activate'"
    add_option(job, "--setup", metavar="TEXT", help=what)
    add_option(job, "--login-shell", help="run --setup in a login shell; alone, only take its environment")
    add_option(job, "--run-dir", metavar="PATH", help="parent of run directories (default /var/tmp/madctl-UID)")
    add_option(limits, "--timeout", default=None, metavar="TIME", help="stop the job after TIME: 90, 10m, 1h30m")
    what = "dump stack traces and stop the job when no rank prints a single byte for TIME"
    add_option(limits, "--idle-timeout", default=None, metavar="TIME", help=what)
    what = "keep only the newest SIZE of each log on the nodes (default 1G)"
    add_option(limits, "--log-cap", metavar="SIZE", help=what)
    what = "time for the nodes to get ready (default 60; for pods to start: 300)"
    add_option(limits, "--start-timeout", default=None, metavar="TIME", help=what)
    what = "use the first N nodes that pass all checks; the others are spares"
    add_option(ranks, "--nnodes", default=None, metavar="N", help=what)
    what = "restart all ranks up to N times after a failure (default 0)"
    add_option(limits, "--max-restarts", metavar="N", help=what)
    _add_model_options(parser)
    add_option(job, "--dry-run", help="check and print the plan, but start nothing")
    _add_check_options(parser)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    models = parser.add_argument_group("models of madengine")
    add_option(models, "--tags", nargs="+", action="extend", metavar="TAG", help="run the models with these tags")
    what = "madengine's additional context, a Python literal or JSON"
    models.add_argument("--additional-context", metavar="TEXT", help=what)
    what = "the same from a file; --additional-context overrides it"
    models.add_argument("--additional-context-file", metavar="FILE", help=what)
    what = "mirror data to this path, which must be on shared storage"
    add_option(models, "--force-mirror-local", metavar="PATH", help=what)
    what = "remove containers of earlier runs: all, or the one with this name (repeatable)"
    add_option(models, "--replace-containers", nargs="?", const="", metavar="NAME", help=what)


def _add_check_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("checks")
    add_option(group, "--skip", metavar="CHECK", help="skip a check (repeatable)")
    group.add_argument("--no-install", action="store_true", help="do not install net-tools where ifconfig is missing")


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a run."""
    what = "ID or name of a run, the beginning of an ID, or -1 for the latest (default), -2 for the one before"
    parser.add_argument("run_id", nargs="?", metavar="RUN", help=what)


def add_output_option(parser: argparse.ArgumentParser, more: str | None = None) -> None:
    """
    Add the option that selects the output format.

    Args:
        more: Another format, and the meaning of the option.
    """
    choices, what = ["text", "json"], "output format (default text)"
    if more:
        choices, what = [*choices, more], f"output format (default text); {more} for manifests alone"
    parser.add_argument("--output", choices=choices, default="text", help=what)


def add_choice_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose whose output is shown."""
    what = "show only the output of these ranks: 0-3,7 (repeatable)"
    add_option(parser, "--rank", metavar="LIST", help=what)
    what = "show only the output of these nodes: gpu[1-3],a (repeatable)"
    add_option(parser, "--host", metavar="LIST", help=what)


def add_since_option(parser: argparse.ArgumentParser) -> None:
    """Add the option for the time at which logs begin."""
    what = "start at: now, 30s, 10m, 1h30m or 1d ago, or a time such as 2026-11-23T10:00 (default: the first byte)"
    add_option(parser, "--since", metavar="WHEN", help=what)
