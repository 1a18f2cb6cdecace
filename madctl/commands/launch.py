# SPDX-License-Identifier: Apache-2.0
"""``madctl launch``: check every node, start the job on all of them at once, and follow it to the end."""

from __future__ import annotations

import argparse
import os
from typing import Any

from madctl.errors import RunError
from madctl.request import after_options, scheduler_options, typed
from madctl.request.options import (
    add_choice_options,
    add_command,
    add_host_options,
    add_job_options,
    add_option,
    add_output_option,
)

_EXAMPLES = (
    ("start train.py on sixteen nodes", "madctl launch --hosts gpu[01-16] train.py --lr 1e-4"),
    ("run it in a job of Slurm", "madctl launch --on slurm --nodes 16 --gpus-per-node 8 --run-root ~/runs train.py"),
    ("run it in pods", "madctl launch --on k8s --nnodes 16 --image IMAGE train.py"),
    ("run a command once per node", "madctl launch --hosts gpu[01-16] --command -- nvidia-smi -L"),
)
_FIRST = (
    *("--hosts", "--inventory", "--nproc-per-node", "--python", "--env", "--shared-path", "--timeout"),
    *("--max-restarts", "--detach", "--dry-run"),
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Check every node, start the job on all of them at once, and follow it to the end."
    parser = add_command(commands, "launch", run, "start a job on all nodes at once", about, _EXAMPLES)
    # What a rerun needs of the command line, and what must not be shown; set during the launch.
    parser.set_defaults(typed=None, hidden=())
    parser.usage = "madctl launch [--hosts LIST] [OPTION…] [--] SCRIPT.py [ARG…]"
    add_host_options(parser, with_exclude=True)
    add_job_options(parser)
    add_option(parser, "--name", metavar="NAME", help="name the run; commands accept the name instead of its ID")
    add_option(parser, "--note", metavar="TEXT", help="keep TEXT with the run, as a note")
    add_choice_options(parser)
    after_options.add_after_options(parser)
    parser.add_argument("--detach", action="store_true", help="leave the job running in the background")
    add_output_option(parser, "yaml")
    scheduler_options.add_scheduler_options(parser)
    parser.show_first(*_FIRST)


def run(options: argparse.Namespace) -> int:
    """Launch, and return the exit code of the run."""
    from madctl.verbs import launch

    launch.require(options)
    after_options.refuse_detached(options)
    options.typed = _typed(options)
    try:
        return _launched(options)
    except RunError as error:
        if not options.dry_run:
            _after(options, error)
        raise


def _launched(options: argparse.Namespace) -> int:
    from madctl.after import wishes
    from madctl.playbook.report import report_run
    from madctl.request.role_variables import secrets
    from madctl.verbs import launch

    if options.on != "ssh":
        return _in_pods(options) if options.on == "k8s" else _submit(options)
    session = launch.on_nodes(options)
    session.typed, options.hidden = options.typed, secrets(options, session.wanted)
    session.run()
    launch.settle(session, options)
    return report_run(session, "launch", options.output == "json", options.dry_run, wishes.of(options))


def _after(options: argparse.Namespace, error: RunError) -> None:
    """Do what was requested for the end after an error without a report, such as when the scheduler is away."""
    from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
    from madctl.after import wishes
    from madctl.result import Result
    from madctl.screen.problems import print_problems

    result = Result("launch", "failed", error.exit_code, errors=error.problems)
    print_problems([], wishes.carry_out(wishes.of(options), Mask(options.hidden).data(result), options.name))


def _typed(options: argparse.Namespace) -> dict[str, Any] | None:
    """Return the typed options, as the record keeps them for a rerun; None without a command line."""
    own = getattr(options, "own", None)
    if not own:
        return None
    found = typed.options_of(own[own.index(options.command) + 1 :], options.parser.commands[options.command])
    try:
        return typed.dumped(typed.without_secrets(found, options.work), os.getcwd())
    except FileNotFoundError:
        return None  # The current directory was deleted.


def _submit(options: argparse.Namespace) -> int:
    from madctl.nodes import job_site
    from madctl.playbook import job_launch, job_login
    from madctl.request import output_choice
    from madctl.request.role_variables import secrets
    from madctl.verbs import launch

    wanted, words = launch.for_slurm(options)
    shown = output_choice.unchecked(options)
    site = None if options.login else job_site.of(options)
    if not options.dry_run:
        launch.require_free_name(options)
    if site is None:
        login, wanted = launch.login_node(options, wanted)
        options.hidden = secrets(options, wanted)
        return job_login.launch(options, login, wanted, options.hidden, shown)
    if options.dry_run:
        job_launch.code_of(wanted)  # raises if it is refused
        return job_launch.test(options, site, words)
    options.hidden = secrets(options, wanted)
    return job_launch.run(options, site, wanted, words, options.hidden, shown)


def _in_pods(options: argparse.Namespace) -> int:
    from madctl.playbook import kubernetes_launch
    from madctl.request import output_choice
    from madctl.request.role_variables import secrets
    from madctl.verbs import launch

    wanted, drafted = launch.for_pods(options)
    if options.dry_run:
        return kubernetes_launch.show("launch", options, drafted)
    launch.require_free_name(options)
    options.hidden, shown = secrets(options, wanted), output_choice.unchecked(options)
    return kubernetes_launch.run(options, drafted, options.hidden, shown)
