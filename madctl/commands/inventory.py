# SPDX-License-Identifier: Apache-2.0
"""``madctl inventory``: print the Ansible inventory of these hosts, with ranks."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.errors import ExitCode
from madctl.request.options import add_command, add_host_options


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Print the Ansible inventory of these hosts, with ranks."
    examples = [("write a file for ansible-playbook -i", "madctl inventory --hosts gpu[01-16] > hosts.yml")]
    parser = add_command(commands, "inventory", run, "print the Ansible inventory of these hosts", about, examples)
    add_host_options(parser, with_exclude=True)


def run(options: argparse.Namespace) -> int:
    """Print YAML that ansible-playbook accepts with -i."""
    from madctl.nodes import choose
    from madctl.nodes.inventory import plain
    from madctl.playbook import engine
    from madctl.screen import terminal

    found = choose.targets(options)
    if found.sources:
        terminal.tell(f"# use after: {' '.join(f'-i {source}' for source in found.sources)}")
    terminal.say(*engine.dump_inventory(plain(found.inventory)).rstrip("\n").split("\n"))
    return ExitCode.SUCCEEDED
