# SPDX-License-Identifier: Apache-2.0
"""``madctl check``: check everything that a launch needs, and start nothing."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.errors import refused
from madctl.request import kubernetes_options, scheduler_options, slurm_options
from madctl.request.options import add_command, add_host_options, add_job_options, add_option, add_output_option

_EXAMPLES = (
    ("check whether train.py could start on sixteen nodes", "madctl check --hosts gpu[01-16] train.py"),
    ("check sixteen nodes in a short job of Slurm", "madctl check --on slurm --nodes 16 --gpus-per-node 8 train.py"),
    ("only ask which network they would use, and why", "madctl check --hosts gpu[01-16] --explain network"),
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
    scheduler_options.refuse_foreign(options)
    if options.on == "slurm":
        return _in_job(options)
    if options.on == "k8s":
        return _in_pods(options)
    from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
    from madctl.lab import state
    from madctl.nodes import choose
    from madctl.nodes.inventory import own_secrets
    from madctl.playbook.report import report_check
    from madctl.playbook.session import Session
    from madctl.request.role_variables import check_variables, secrets
    from madctl.screen.view import View

    wanted = check_variables(options)
    nodes = choose.targets(options)
    hidden = Mask([*secrets(options, wanted), *own_secrets(nodes)])
    view = View(nodes.names, as_json=options.output == "json", stages=("probe",), secrets=hidden)
    if options.notice:
        view.notice(options.notice)
    session = Session(nodes, wanted, view)
    session.hide = hidden.hide
    session.run()
    if options.lab:
        state.remember_told(options.lab, [problem.code for problem in view.warnings])
    return report_check(session, options)


def _in_pods(options: argparse.Namespace) -> int:
    from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
    from madctl.jobs import kubernetes_draft
    from madctl.playbook import kubernetes_check, kubernetes_launch
    from madctl.request.role_variables import check_variables, secrets

    kubernetes_options.require(options)
    wanted = check_variables(argparse.Namespace(**{**vars(options), "dry_run": False}))
    drafted = kubernetes_draft.draft(wanted, job_directory.ONLY_CHECK)
    if options.dry_run:
        return kubernetes_launch.show("check", options, drafted)
    return kubernetes_check.run(options, drafted, secrets(options, wanted))


def _in_job(options: argparse.Namespace) -> int:
    from madctl.nodes import job_site
    from madctl.playbook import job_check
    from madctl.request.role_variables import check_variables, secrets

    if options.login:
        raise refused("USAGE", "check takes no --login", remedy=f"run madctl on {options.login}")
    given = vars(options)
    wanted = check_variables(argparse.Namespace(**{**given, "dry_run": False}))
    asked = argparse.Namespace(**{**given, "time": options.time or slurm_options.CHECK_TIME})
    chosen, site = slurm_options.chosen(asked, wanted), job_site.of(options)
    if options.dry_run:
        return job_check.test(options, site, chosen)
    return job_check.run(options, site, wanted, chosen, secrets(options, wanted))
