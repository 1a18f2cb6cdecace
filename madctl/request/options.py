# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ansible_collections.madctl.multinode.plugins.module_utils._common import runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.whole_numbers import number
from madctl.errors import Problem, UsageError


def whole(least: int, most: int) -> Callable[[str], int]:
    """Make what reads a whole number of an option; Python itself would take 1_0, and digits of every script."""

    def read(text: str) -> int:
        found: int | None = number(text, least, most)
        if found is None:
            raise argparse.ArgumentTypeError(f"takes a number from {least} to {most}, not {text!r}")
        return found

    return read


def add_host_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which nodes take part and how they are reached."""
    group = parser.add_argument_group("nodes")
    group.add_argument("--hosts", metavar="LIST", help="gpu[01-16], a,b,c, @group, user@host:port")
    group.add_argument("--hostfile", metavar="FILE", help="one name a line, slots=N optional; or of PBS, LSF, SGE")
    group.add_argument("-i", "--inventory", action="append", metavar="PATH", help="an Ansible inventory (repeatable)")
    group.add_argument("--limit", metavar="PATTERN", help="take only these hosts of the inventory")
    group.add_argument("--lab", metavar="NAME", help="all hosts of a lab, or those of --hosts or --hostfile")
    group.add_argument("--user", metavar="NAME", help="log in as this user")
    group.add_argument("--port", type=whole(1, 65535), metavar="N", help="SSH port")
    group.add_argument("--ssh-config", metavar="FILE", help="use this ssh configuration instead of your own")
    group.add_argument("--become-password-file", metavar="FILE", help="holds the password for sudo on nodes")
    group.add_argument("--accept-new-host-keys", action="store_true", help="trust hosts that were never seen before")


def hosts_given(options: argparse.Namespace) -> bool:
    """Tell whether the command line names nodes; a scheduler's allocation, or this machine, is not meant by silence."""
    named = (options.hosts, options.hostfile, options.inventory, options.limit, options.lab)
    return any(value is not None for value in named)


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how the job runs."""
    group = parser.add_argument_group("job")
    group.add_argument(
        "--command",
        dest="as_command",
        action="store_true",
        help="run the work once a node, with mpirun on the first",
    )
    group.add_argument(
        "--runner", choices=runners.names(), default=runners.names()[0], help="what starts the ranks (default torchrun)"
    )
    group.add_argument("--mpirun", metavar="PATH", help="mpirun of every node (default: beside --python, or on PATH)")
    group.add_argument("--mpi-args", metavar="WORDS", help="more words for mpirun, quoted as for a shell")
    group.add_argument("--allow-run-as-root", action="store_true", help="let root run mpirun")
    group.add_argument("--python", metavar="PATH", help="the job's Python (default: python3 of your PATH)")
    group.add_argument("--nproc-per-node", default="auto", metavar="N|auto|gpu", help="processes a node (default auto)")
    group.add_argument("--master-addr", metavar="ADDRESS", help="address of the first node to meet at")
    group.add_argument("--master-port", default="29500", metavar="N|auto", help="port to meet at (default 29500)")
    group.add_argument("--interface", metavar="NAME|CIDR", help="interface or network to use on every node")
    group.add_argument(
        "--shared-path", action="append", default=[], metavar="PATH[:ro]", help="must be shared storage (repeatable)"
    )
    group.add_argument(
        "--shared-fstype", action="append", default=[], metavar="TYPE", help="counts as shared too (repeatable)"
    )
    group.add_argument(
        "--gpus", choices=["same", "min", "per-node"], default="same", help="what unequal numbers mean (default same)"
    )
    group.add_argument(
        "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set or pass a variable (repeatable)"
    )
    group.add_argument("--env-file", metavar="FILE", help="variables, one NAME=VALUE a line")
    group.add_argument("--chdir", metavar="PATH", help="working directory on every node (default: this one)")
    group.add_argument(
        "--run-dir", metavar="PATH", help="where nodes keep run directories (default /var/tmp/madctl-UID)"
    )
    group.add_argument("--timeout", type=float, metavar="SECONDS", help="stop the job after this long")
    group.add_argument(
        "--idle-timeout",
        type=float,
        metavar="SECONDS",
        help="write all stacks and stop the job when no rank prints anything for so long",
    )
    group.add_argument(
        "--log-cap", default="1G", metavar="SIZE", help="keep so much of each log on the nodes, the newest (default 1G)"
    )
    group.add_argument(
        "--start-timeout", type=float, default=60.0, metavar="SECONDS", help="time to get ready (default 60)"
    )
    group.add_argument(
        "--nnodes",
        type=whole(1, 4096),
        metavar="N",
        help="take the first N nodes that pass all checks; the others are spares",
    )
    group.add_argument(
        "--max-restarts",
        type=whole(0, 4096),
        default=0,
        metavar="N",
        help="start all ranks anew so often after a failure",
    )
    models = parser.add_argument_group("models of madengine")
    models.add_argument("--tags", nargs="+", action="extend", default=[], metavar="TAG", help="run these models")
    models.add_argument("--additional-context", metavar="TEXT", help="madengine's own, Python literal or JSON")
    models.add_argument("--additional-context-file", metavar="FILE", help="the same from a file; the text wins")
    models.add_argument(
        "--force-mirror-local", metavar="PATH", help="mirror data to here, which must be shared storage"
    )
    models.add_argument(
        "--replace-containers",
        nargs="?",
        const="",
        action="append",
        default=[],
        metavar="NAME",
        help="remove containers that earlier runs left, or the one of that name (repeatable)",
    )
    group.add_argument("--dry-run", action="store_true", help="check and print the plan, start nothing")


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how nodes are checked."""
    group = parser.add_argument_group("checks")
    group.add_argument("--skip", action="append", default=[], metavar="CHECK", help="leave a check out (repeatable)")
    group.add_argument("--no-install", action="store_true", help="do not install net-tools where ifconfig is missing")


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """Add the run that a command is about."""
    parser.add_argument("run_id", nargs="?", metavar="RUN", help="the run, or how its id begins (default: the latest)")


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Add what stdout carries."""
    parser.add_argument("--output", choices=["text", "json"], default="text", help="what stdout carries (default text)")


def add_since_option(parser: argparse.ArgumentParser) -> None:
    """Add where logs are to begin."""
    parser.add_argument("--since", metavar="WHEN", help="begin here: now, 10m ago, or a time (default: the first byte)")


def since(options: argparse.Namespace) -> dict[str, str]:
    """
    Give where logs are to begin as a variable of the roles, none for the first byte.

    Raises:
        UsageError: If that is no moment.
    """
    from ansible_collections.madctl.multinode.plugins.module_utils._request import moments

    text: str | None = options.since
    if text is None:
        return {}
    try:
        moments.since(text, 0.0)
    except ValueError as error:
        wanted = "now, 30s, 10m, 2h, 1d or a time such as 2026-11-23T10:00"
        raise UsageError(Problem("USAGE", f"--since takes {wanted}, not {text!r}")) from error
    return {"madctl_since": text}
