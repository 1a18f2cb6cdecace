# SPDX-License-Identifier: Apache-2.0
"""``madctl launch``: check every node, start the job on all of them at once, and follow it to the end."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from madctl.errors import ExitCode, Problem, RunError, refused
from madctl.request import slurm_options
from madctl.request.options import add_command, add_host_options, add_job_options, add_output_option


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Check every node, start the job on all of them at once, and follow it to the end."
    parser = add_command(commands, "launch", run, "start a job on all nodes at once", about)
    parser.usage = "madctl launch [--hosts LIST] [OPTION…] [--] SCRIPT.py [ARG…]"
    add_host_options(parser)
    add_job_options(parser)
    parser.add_argument("--detach", action="store_true", help="leave the job running in the background")
    add_output_option(parser)
    slurm_options.add_slurm_options(parser)


def run(options: argparse.Namespace) -> int:
    """Launch, and return the exit code of the run."""
    if options.on == "slurm":
        return _submit(options)
    from madctl.nodes import choose
    from madctl.playbook.report import report_run
    from madctl.playbook.session import RunSession
    from madctl.request.role_variables import launch_variables, secrets
    from madctl.runs import record_store
    from madctl.screen.view import View

    needing = slurm_options.given(options)
    if needing:
        raise refused("USAGE", f"{needing[0]} needs --on slurm")
    wanted = launch_variables(options)
    nodes = choose.targets(options)
    if not options.dry_run:
        record_store.prepare()
    view = View(nodes.names, as_json=options.output == "json", secrets=secrets(options, wanted))
    if options.notice:
        view.notice(options.notice)
    session = RunSession(nodes, wanted, view)
    session.run()
    if session.interrupted and not session.started and (session.final is None or session.final.get("detached")):
        view.errors = [Problem("INTERRUPTED", "interrupted before the start")]
        if session.plan is not None and not options.dry_run:
            disarm(session)
    return report_run(session, "launch", options.output == "json", options.dry_run)


def _submit(options: argparse.Namespace) -> int:
    from madctl.playbook import job_launch
    from madctl.request.role_variables import launch_variables, secrets

    wanted = launch_variables(options)
    return job_launch.run(options, wanted, slurm_options.chosen(options, wanted), secrets(options, wanted))


def disarm(session: Any) -> None:
    """Stop nodes that were armed when Ansible was ended."""
    from madctl.playbook import ask

    run_id = session.plan["run_id"]
    try:
        found = ask.nodes("stop", session.nodes, {"madctl_run_id": run_id})
    except RunError as error:
        remedy = f"the run may still be running; stop it with madctl stop {run_id}"
        raise RunError(error.exit_code, *(replace(problem, remedy=remedy) for problem in error.problems)) from error
    left = [host for host in session.nodes.names if found["nodes"].get(host, {}).get("left") != []]
    if left:
        raise RunError(
            ExitCode.STOP_UNVERIFIED,
            *[Problem("STOP_UNVERIFIED", "could not verify that it stopped", host) for host in left],
        )
