# SPDX-License-Identifier: Apache-2.0
"""``madctl check``: check everything that a launch needs, and start nothing."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.request import scheduler_options
from madctl.request.options import add_command, add_host_options, add_job_options, add_option, add_output_option

_EXAMPLES = (
    ("check whether train.py could start on sixteen nodes", "madctl check --hosts gpu[01-16] train.py"),
    ("check sixteen nodes in a short job of Slurm", "madctl check --on slurm --nodes 16 --gpus-per-node 8 train.py"),
    ("only show which network they would use, and why", "madctl check --hosts gpu[01-16] --explain network"),
)
_FIRST = (
    *("--hosts", "--inventory", "--nproc-per-node", "--python", "--interface", "--shared-path"),
    *("--skip", "--only", "--explain", "--output"),
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Check everything that a launch needs, and print a table of nodes and checks; start nothing."
    parser = add_command(commands, "check", run, "check whether a launch would succeed", about, _EXAMPLES)
    parser.usage = "madctl check [--hosts LIST] [OPTION…] [[--] SCRIPT.py [ARG…]]"
    add_host_options(parser, with_exclude=True)
    add_job_options(parser)
    group = parser.add_argument_group("check")
    add_option(group, "--only", metavar="CHECK", help="run only this check (repeatable)")
    group.add_argument(
        "--explain", choices=["network"], metavar="network", help="show every address, and why it was chosen or not"
    )
    add_output_option(parser)
    scheduler_options.add_scheduler_options(parser)
    parser.show_first(*_FIRST)


def run(options: argparse.Namespace) -> int:
    """Check, and return 0 only if a launch would succeed."""
    from madctl.playbook.report import report_check
    from madctl.verbs import check

    scheduler_options.refuse_foreign(options)
    if options.on != "ssh":
        return _in_pods(options) if options.on == "k8s" else _in_job(options)
    session = check.on_nodes(options)
    session.run()
    check.settle(session, options)
    return report_check(session, options)


def _in_pods(options: argparse.Namespace) -> int:
    from madctl.playbook import kubernetes_check, kubernetes_launch
    from madctl.request.role_variables import secrets
    from madctl.verbs import check

    wanted, drafted = check.for_pods(options)
    if options.dry_run:
        return kubernetes_launch.show("check", options, drafted)
    return kubernetes_check.run(options, drafted, secrets(options, wanted))


def _in_job(options: argparse.Namespace) -> int:
    from madctl.nodes import job_site
    from madctl.playbook import job_check
    from madctl.request.role_variables import secrets
    from madctl.verbs import check

    wanted, chosen = check.for_slurm(options)
    site = job_site.of(options)
    if options.dry_run:
        return job_check.test(options, site, chosen)
    return job_check.run(options, site, wanted, chosen, secrets(options, wanted))
