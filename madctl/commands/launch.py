# SPDX-License-Identifier: Apache-2.0
"""``madctl launch``: check every node, start the job on all of them at once, and follow it to the end."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from madctl.errors import ExitCode, Problem, RunError, refused
from madctl.request import kubernetes_options, scheduler_options, slurm_options
from madctl.request.options import (
    add_choice_options,
    add_command,
    add_host_options,
    add_job_options,
    add_option,
    add_output_option,
    hosts_given,
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
    parser.usage = "madctl launch [--hosts LIST] [OPTION…] [--] SCRIPT.py [ARG…]"
    add_host_options(parser, with_exclude=True)
    add_job_options(parser)
    add_option(parser, "--name", metavar="NAME", help="call the run NAME, which commands take in place of its ID")
    add_option(parser, "--note", metavar="TEXT", help="remember TEXT about the run")
    add_choice_options(parser)
    parser.add_argument("--detach", action="store_true", help="leave the job running in the background")
    add_output_option(parser, "yaml")
    scheduler_options.add_scheduler_options(parser)
    parser.show_first(*_FIRST)


def run(options: argparse.Namespace) -> int:
    """Launch, and return the exit code of the run."""
    scheduler_options.refuse_foreign(options)
    if options.on == "k8s":
        return _in_pods(options)
    if options.output == "yaml":
        raise refused("USAGE", "--output yaml needs --on k8s")
    if options.on == "slurm":
        return _submit(options)
    from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
    from madctl.lab import state
    from madctl.nodes import choose
    from madctl.nodes.hosts import from_environment
    from madctl.nodes.inventory import own_secrets
    from madctl.playbook.report import report_run
    from madctl.playbook.session import RunSession
    from madctl.request import output_choice
    from madctl.request.role_variables import launch_variables, secrets
    from madctl.runs import record_store
    from madctl.screen.view import View

    wanted = launch_variables(options)
    nodes = choose.targets(options)
    chosen = output_choice.of_launch(options, nodes.names, hosts_given(options) or bool(from_environment()))
    if not options.dry_run:
        record_store.prepare()
        if options.name:
            _require_free(options.name)
    told = state.told(options.lab) if options.lab else ()
    hidden = Mask([*secrets(options, wanted), *own_secrets(nodes)])
    view = View(nodes.names, as_json=options.output == "json", secrets=hidden, told=told, chosen=chosen)
    if options.notice:
        view.notice(options.notice)
    session = RunSession(nodes, wanted, view)
    session.hide = hidden.hide
    session.run()
    if options.lab:
        state.remember_told(options.lab, [problem.code for problem in view.warnings])
    if session.interrupted and not session.started and (session.final is None or session.final.get("detached")):
        view.errors = [Problem("INTERRUPTED", "interrupted before the start")]
        if session.plan is not None and not options.dry_run:
            disarm(session)
    return report_run(session, "launch", options.output == "json", options.dry_run)


def _require_free(name: str) -> None:
    """Refuse the name of a run that is still alive, or may be."""
    from madctl.playbook import living
    from madctl.runs import record_store, verdicts

    own = [record for record in record_store.known()[0] if record.name == name and not verdicts.has_ended(record)]
    for record in living.asked(own):
        if not verdicts.has_ended(record):
            message = f"{name} is the name of run {record.run_id}, which is {record.status}"
            remedy = f"stop it: madctl stop {record.run_id}; or choose another name"
            raise refused("NAME_IN_USE", message, remedy=remedy)


def _submit(options: argparse.Namespace) -> int:
    from madctl.nodes import job_site
    from madctl.playbook import job_launch
    from madctl.request import output_choice
    from madctl.request.role_variables import launch_variables, secrets

    wanted = launch_variables(options)
    words, shown = slurm_options.chosen(options, wanted), output_choice.unchecked(options)
    if options.login:
        return _submit_elsewhere(options, wanted)
    site = job_site.of(options)
    if options.name and not options.dry_run:
        _require_free(options.name)
    return job_launch.run(options, site, wanted, words, secrets(options, wanted), shown)


def _submit_elsewhere(options: argparse.Namespace, wanted: dict[str, Any]) -> int:
    """Submit on a login node that is reached as a node is."""
    from madctl.nodes import choose, job_site
    from madctl.playbook import job_login
    from madctl.request import output_choice
    from madctl.request.role_variables import secrets

    if options.name and not options.dry_run:
        _require_free(options.name)
    among = {"limit": options.login} if options.inventory else {"hosts": options.login}
    login = choose.targets(argparse.Namespace(**{**vars(options), **among, "nnodes": None, "exclude": None}))
    if len(login.names) != 1:
        raise refused("USAGE", f"--login takes one host, not {len(login.names)}: {options.login}")
    if options.lab:
        site = job_site.of(options)
        wanted = {**wanted, "madctl_run_root": str(site.root), "madctl_slurm_conf": site.conf}
    elif not options.run_root:
        message = "--on slurm needs a directory that the login node and all nodes see"
        raise refused("USAGE", message, remedy="add --run-root PATH")
    hidden, shown = secrets(options, wanted), output_choice.unchecked(options)
    return job_login.launch(options, login, wanted, hidden, shown)


def _in_pods(options: argparse.Namespace) -> int:
    from madctl.jobs import kubernetes_draft
    from madctl.playbook import kubernetes_launch
    from madctl.request import output_choice
    from madctl.request.role_variables import launch_variables, secrets

    kubernetes_options.require(options)
    # What a dry run prints is meant to be created.
    wanted = launch_variables(argparse.Namespace(**{**vars(options), "dry_run": False}))
    drafted = kubernetes_draft.draft(wanted)
    if options.dry_run:
        return kubernetes_launch.show("launch", options, drafted)
    if options.name:
        _require_free(options.name)
    hidden, shown = secrets(options, wanted), output_choice.unchecked(options)
    return kubernetes_launch.run(options, drafted, hidden, shown)


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
