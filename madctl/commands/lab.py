# SPDX-License-Identifier: Apache-2.0
"""``madctl lab``: create disposable hosts on this machine, to try everything without a cluster."""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from madctl.errors import ExitCode, refused
from madctl.request.options import add_command, taking
from madctl.screen.terminal import say, tell

# Runs in the host: change to the caller's directory if the host has it, then execute the command.
_ENTER = 'cd "$0" 2>/dev/null || cd; exec "$@"'


def register(commands: Any) -> None:
    """Add the command and its subcommands to the parser."""
    about = "Create disposable hosts on this machine, to try everything without a cluster."
    parser = add_command(commands, "lab", _usage, "create disposable hosts on this machine", about)
    verbs = parser.add_subparsers(dest="verb", metavar="SUBCOMMAND", title="subcommands", parser_class=type(parser))
    parser.set_defaults(verbs=verbs.choices)

    up = _add(verbs, "up", _up, "bring up node1…nodeN")
    hosts = taking("-n", kinds.whole(0, 10**6))
    up.add_argument("-n", dest="count", type=hosts, default=2, metavar="N", help="number of hosts (default 2)")
    what = "rename the data interface of a host (repeatable)"
    up.add_argument("--interface-name", action="append", default=[], metavar="HOST=NAME", help=what)
    up.add_argument("--slurm", action="store_true", help="bring up Slurm on the hosts, and a directory that they share")
    _add(verbs, "down", _down, "remove a lab completely")
    _add(verbs, "status", _status, "show the hosts and whether they are up")
    enter = _add(verbs, "exec", _exec, "run a command on a host: lab exec HOST -- CMD")
    enter.add_argument("host", metavar="HOST")
    _add(verbs, "slurm", _slurm, "run a command on the login side of a lab's Slurm: lab slurm -- CMD")
    _add(verbs, "inventory", partial(_print_path, "inventory.yml"), "print the path of the lab's Ansible inventory")
    _add(verbs, "ssh-config", partial(_print_path, "ssh_config"), "print the path of the lab's SSH configuration")


def _add(verbs: Any, name: str, run: Any, summary: str) -> argparse.ArgumentParser:
    parser = add_command(verbs, name, run, summary, summary)
    parser.add_argument("--name", default="lab", help="name of the lab (default lab)")
    return parser


def _usage(options: argparse.Namespace) -> int:
    message = f"lab needs a subcommand: {', '.join(options.verbs)}"
    raise refused("USAGE", message, remedy="see madctl lab --help")


def _up(options: argparse.Namespace) -> int:
    from madctl.lab import power, slurm

    if options.slurm:
        slurm.require_programs()
    names = {}
    for pair in options.interface_name:
        host, equals, interface = pair.partition("=")
        if not equals:
            raise refused("USAGE", f"--interface-name takes HOST=NAME, not {pair!r}")
        names[host] = interface
    started = time.monotonic()
    lab = power.up(options.name, options.count, names)
    if options.slurm:
        try:
            slurm.start(lab)
        except BaseException:
            power.down(lab.name)
            raise
    seconds = time.monotonic() - started
    hosts = fold([host.name for host in lab.hosts]) or "no hosts"
    tell(f'lab "{lab.name}" is up: {hosts} in {seconds:.1f} s')
    if options.slurm:
        tell(f"Slurm is up on them; they share {slurm.shared(lab.name)} with this machine")
    return ExitCode.SUCCEEDED


def _down(options: argparse.Namespace) -> int:
    from madctl.lab import power

    found = power.down(options.name)
    tell(f'lab "{options.name}" is down' if found else f'lab "{options.name}" was not up')
    return ExitCode.SUCCEEDED


def _status(options: argparse.Namespace) -> int:
    lab = _loaded(options.name)
    rows = [("HOST", "STATE", "MANAGEMENT", "DATA", "INTERFACE")]
    for host in lab.hosts:
        power = "up" if _is_alive(host.init_pid) else "off"
        rows.append((host.name, power, host.management_address, host.data_address, host.data_interface))
    say(*columns.aligned(rows))
    return ExitCode.SUCCEEDED


def _is_alive(pid: int) -> bool:
    try:
        return b"host.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _exec(options: argparse.Namespace) -> int:
    host = _loaded(options.name).host(options.host)
    if not options.work:
        raise refused("USAGE", "lab exec needs a command", remedy="madctl lab exec HOST -- CMD")
    if not _is_alive(host.init_pid):
        raise refused("LAB_HOST_OFF", "the host is powered off", host.name)
    namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
    argv = ["nsenter", "-t", str(host.init_pid), *namespaces, "--", "sh", "-c", _ENTER, os.getcwd(), *options.work]
    os.execvp("nsenter", argv)


def _slurm(options: argparse.Namespace) -> int:
    from madctl.lab import slurm

    lab = _loaded(options.name)
    if not options.work:
        raise refused("USAGE", "lab slurm needs a command", remedy="madctl lab slurm -- sinfo")
    os.environ.update(slurm.environment(lab.name))
    try:
        os.execvp(options.work[0], options.work)
    except OSError as error:
        raise refused("USAGE", f"{options.work[0]}: {error.strerror}") from error


def _print_path(file: str, options: argparse.Namespace) -> int:
    from madctl.lab import state

    _loaded(options.name)
    say(state.directory(options.name) / file)
    return ExitCode.SUCCEEDED


def _loaded(name: str) -> Any:
    from madctl.lab import power, state

    power.require_machine()
    return state.load(name)
