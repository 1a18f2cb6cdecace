# SPDX-License-Identifier: Apache-2.0
"""Launch: from parsed options to the session that starts a run and follows it, wherever it runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from madctl.errors import ExitCode, Problem, RunError, refused
from madctl.jobs.kubernetes_draft import Draft
from madctl.jobs.slurm import Site
from madctl.nodes.inventory import Targets, own_secrets
from madctl.playbook.session import RunSession
from madctl.request import kubernetes_options, output_choice, scheduler_options, slurm_options
from madctl.request.options import hosts_given
from madctl.request.role_variables import launch_variables, secrets
from madctl.screen.view import View


def require(options: argparse.Namespace) -> None:
    """
    Refuse options that have no meaning where the run takes place.

    Raises:
        UsageError: If one was given.
    """
    scheduler_options.refuse_foreign(options)
    if options.output == "yaml" and options.on != "k8s":
        raise refused("USAGE", "--output yaml needs --on k8s")


# -- on nodes that the user names ------------------------------------------------------------------


def on_nodes(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> RunSession:
    """
    Return the session that launches on nodes over SSH.

    Raises:
        MadctlError: If the request is refused.
    """
    from madctl.lab import state
    from madctl.nodes import choose
    from madctl.nodes.hosts import from_environment
    from madctl.records import record_store

    wanted = launch_variables(options, environment)
    nodes = choose.targets(options)
    chosen = output_choice.of_launch(options, nodes.names, hosts_given(options) or bool(from_environment()))
    if not options.dry_run:
        record_store.prepare()
        require_free_name(options)
    told = state.told(options.lab) if options.lab else ()
    hidden = Mask([*secrets(options, wanted), *own_secrets(nodes)])
    view = View(nodes.names, as_json=options.output == "json", secrets=hidden, told=told, chosen=chosen)
    if options.notice:
        view.notice(options.notice)
    session = RunSession(nodes, wanted, view)
    session.hide = hidden.hide
    return session


def settle(session: RunSession, options: argparse.Namespace) -> None:
    """
    Complete a launch after the session of ``on_nodes``.

    Raises:
        RunError: If it was interrupted before the start, and could not verify that nothing runs.
    """
    from madctl.lab import state

    if options.lab:
        state.remember_told(options.lab, [problem.code for problem in session.view.warnings])
    if session.interrupted and not session.started and (session.final is None or session.final.get("detached")):
        session.view.errors = [Problem("INTERRUPTED", "interrupted before the start")]
        if session.plan is not None and not options.dry_run:
            disarm(session)


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


def require_free_name(options: argparse.Namespace) -> None:
    """
    Refuse the name of a run that is, or may be, still alive.

    Raises:
        UsageError: If there is such a run.
    """
    from madctl.playbook import living
    from madctl.records import record_store, verdicts

    name = options.name
    if not name:
        return
    own = [record for record in record_store.known()[0] if record.name == name and not verdicts.has_ended(record)]
    for record in living.asked(own):
        if not verdicts.has_ended(record):
            message = f"{name} is the name of run {record.run_id}, which is {record.status}"
            remedy = f"stop it: madctl stop {record.run_id}; or choose another name"
            raise refused("NAME_IN_USE", message, remedy=remedy)


# -- in a scheduler's job --------------------------------------------------------------------------


def for_slurm(
    options: argparse.Namespace, environment: Mapping[str, str] = os.environ
) -> tuple[dict[str, Any], list[str]]:
    """
    Return the variables of a launch in a Slurm job, and the user's own options for sbatch.

    Raises:
        UsageError: If the request is refused.
    """
    wanted = launch_variables(options, environment)
    return wanted, slurm_options.chosen(options, wanted)


def login_node(options: argparse.Namespace, wanted: dict[str, Any]) -> tuple[Targets, dict[str, Any]]:
    """
    Return the login node on which a job is submitted, and the variables of the launch there.

    Raises:
        UsageError: If it is not exactly one node, or the run root is unknown.
    """
    from madctl.nodes import choose, job_site

    among = {"limit": options.login} if options.inventory else {"hosts": options.login}
    login = choose.targets(argparse.Namespace(**{**vars(options), **among, "nnodes": None, "exclude": None}))
    if len(login.names) != 1:
        raise refused("USAGE", f"--login takes one host, not {len(login.names)}: {options.login}")
    if options.lab:
        site: Site = job_site.of(options)
        return login, {**wanted, "madctl_run_root": str(site.root), "madctl_slurm_conf": site.conf}
    if not options.run_root:
        message = "--on slurm needs a directory that the login node and all nodes see"
        raise refused("USAGE", message, remedy="add --run-root PATH")
    return login, wanted


def for_pods(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> tuple[dict[str, Any], Draft]:
    """
    Return the variables of a launch in pods, and what would be created.

    Raises:
        UsageError: If the request is refused.
    """
    from madctl.jobs import kubernetes_draft

    kubernetes_options.require(options)
    # A dry run prints the same objects that a launch creates.
    wanted = launch_variables(argparse.Namespace(**{**vars(options), "dry_run": False}), environment)
    return wanted, kubernetes_draft.draft(wanted)
