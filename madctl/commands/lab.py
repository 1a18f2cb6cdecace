# SPDX-License-Identifier: Apache-2.0
"""``madctl lab``: create disposable hosts on this machine, to try everything without a cluster."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from madctl.errors import ExitCode, refused
from madctl.request.options import add_command, add_output_option, taking
from madctl.screen.problems import print_answer
from madctl.screen.terminal import say, tell

# Runs in the host: change to the caller's directory if the host has it, then execute the command.
_ENTER = 'cd "$0" 2>/dev/null || cd; exec "$@"'


def register(commands: Any) -> None:
    """Add the command and its subcommands to the parser."""
    about = "Create disposable hosts on this machine, to try everything without a cluster."
    examples = [
        ("bring up node1 and node2", "madctl lab up -n 2"),
        ("check what a launch needs on the hosts of the lab", "madctl check --lab lab"),
        ("remove the lab", "madctl lab down"),
    ]
    parser = add_command(commands, "lab", _usage, "create disposable hosts on this machine", about, examples)
    verbs = parser.add_subparsers(dest="verb", metavar="SUBCOMMAND", title="subcommands", parser_class=type(parser))
    parser.set_defaults(verbs=verbs.choices)

    four = ("bring up four hosts of a second lab", "madctl lab up -n 4 --name four")
    up = _add(verbs, "up", _up, "bring up node1…nodeN", four)
    hosts = taking("-n", kinds.whole(0, 10**6))
    up.add_argument("-n", dest="count", type=hosts, default=2, metavar="N", help="number of hosts (default 2)")
    what = "rename the data interface of a host (repeatable)"
    up.add_argument("--interface-name", action="append", default=[], metavar="HOST=NAME", help=what)
    what = "mount a directory of this machine in every host, at the same path (repeatable)"
    up.add_argument("--mount", action="append", default=[], metavar="DIR[:ro]", help=what)
    up.add_argument("--slurm", action="store_true", help="bring up Slurm on the hosts, too")
    _add(verbs, "down", _down, "remove a lab completely", ("remove that second lab", "madctl lab down --name four"))
    hosts_up = ("show the hosts of the lab", "madctl lab status")
    add_output_option(_add(verbs, "status", _status, "show the hosts, their state, and what they share", hosts_up))
    look = ("look at the addresses of node1", "madctl lab exec node1 ifconfig")
    enter = _add(verbs, "exec", _exec, "run a command on a host", look)
    enter.usage = "madctl lab exec [OPTION…] HOST [--] COMMAND [ARG…]"
    enter.add_argument("host", metavar="HOST", help="name of the host, such as node1")
    jobs = ("show the nodes of the lab's Slurm", "madctl lab slurm -- sinfo")
    login = _add(verbs, "slurm", _slurm, "run a command on the login side of its Slurm", jobs)
    login.usage = "madctl lab slurm [OPTION…] [--] COMMAND [ARG…]"
    ping = ("use the hosts with Ansible alone", 'ansible -i "$(madctl lab inventory)" all -m ping')
    _add(verbs, "inventory", partial(_print_path, "inventory.yml"), "print the path of its Ansible inventory", ping)
    ssh = ("log in with plain SSH", 'ssh -F "$(madctl lab ssh-config)" node1')
    _add(verbs, "ssh-config", partial(_print_path, "ssh_config"), "print the path of its SSH configuration", ssh)


def _add(verbs: Any, name: str, run: Any, summary: str, example: tuple[str, str]) -> argparse.ArgumentParser:
    parser = add_command(verbs, name, run, summary, summary, [example])
    parser.add_argument("--name", default="lab", help="name of the lab (default lab)")
    return parser


def _usage(options: argparse.Namespace) -> int:
    message = f"lab needs a subcommand: {', '.join(options.verbs)}"
    raise refused("USAGE", message, remedy="see madctl lab --help")


def _up(options: argparse.Namespace) -> int:
    from madctl.lab import mounts, power, slurm

    if options.slurm:
        slurm.require_programs()
    names = {}
    for pair in options.interface_name:
        host, equals, interface = pair.partition("=")
        if not equals:
            raise refused("USAGE", f"--interface-name takes HOST=NAME, not {pair!r}")
        names[host] = interface
    started = time.monotonic()
    lab = power.up(options.name, options.count, names, mounts.chosen(options.mount))
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
        tell(f"Slurm is up on them: madctl lab slurm --name {lab.name} -- sinfo")
    return ExitCode.SUCCEEDED


def _down(options: argparse.Namespace) -> int:
    from madctl.lab import power

    found = power.down(options.name)
    tell(f'lab "{options.name}" is down' if found else f'lab "{options.name}" was not up')
    return ExitCode.SUCCEEDED


def _status(options: argparse.Namespace) -> int:
    lab = _loaded(options.name)
    hosts = [
        {
            "name": host.name,
            "state": "up" if _is_alive(host.init_pid) else "off",
            "management_address": host.management_address,
            "data_address": host.data_address,
            "data_interface": host.data_interface,
        }
        for host in lab.hosts
    ]
    table = columns.aligned(
        [("HOST", "STATE", "MANAGEMENT", "DATA", "INTERFACE"), *(tuple(host.values()) for host in hosts)]
    )
    shares = [("/shared", f"{lab.shared} of this machine, writable")]
    shares += [(mount.path, "read-only" if mount.read_only else "writable") for mount in lab.mounts]
    data = {"name": lab.name, "hosts": hosts, "shared": lab.shared, "mounts": [asdict(mount) for mount in lab.mounts]}
    return print_answer(options, None, data, [*table, "", *columns.aligned([("MOUNT", "WHAT"), *shares])], [])


def _is_alive(pid: int) -> bool:
    try:
        return b"host.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _exec(options: argparse.Namespace) -> int:
    from madctl.screen.problems import print_problems

    if options.notice:
        print_problems([], [options.notice])
    host = _loaded(options.name).host(options.host)
    if not options.work:
        raise refused("USAGE", "lab exec needs a command", remedy="see madctl lab exec --help")
    if not _is_alive(host.init_pid):
        raise refused("LAB_HOST_OFF", "the host is powered off", host.name)
    namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
    argv = ["nsenter", "-t", str(host.init_pid), *namespaces, "--", "sh", "-c", _ENTER, os.getcwd(), *options.work]
    os.execvp("nsenter", argv)


def _slurm(options: argparse.Namespace) -> int:
    from madctl.lab import slurm

    lab = _loaded(options.name)
    if not options.work:
        raise refused("USAGE", "lab slurm needs a command", remedy="see madctl lab slurm --help")
    os.environ.update(slurm.environment(lab))
    try:
        os.execvp(options.work[0], options.work)
    except OSError as error:
        raise refused("USAGE", f"{options.work[0]!r}: {error.strerror}") from error


def _print_path(file: str, options: argparse.Namespace) -> int:
    from madctl.lab import state

    _loaded(options.name)
    say(state.directory(options.name) / file)
    return ExitCode.SUCCEEDED


def _loaded(name: str) -> Any:
    from madctl.lab import power, state

    power.require_machine()
    return state.load(name)
