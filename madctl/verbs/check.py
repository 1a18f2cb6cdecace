# SPDX-License-Identifier: Apache-2.0
"""Check: from parsed options to the session that checks everything that a launch needs, and starts nothing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from madctl.errors import refused
from madctl.jobs.kubernetes_draft import Draft
from madctl.playbook.session import Session
from madctl.request import kubernetes_options, slurm_options
from madctl.request.role_variables import check_variables, secrets
from madctl.screen.view import View


def on_nodes(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Session:
    """
    Return the session that checks nodes over SSH.

    Raises:
        MadctlError: If the request is refused.
    """
    from madctl.nodes import choose
    from madctl.nodes.inventory import own_secrets

    wanted = check_variables(options, environment)
    nodes = choose.targets(options)
    hidden = Mask([*secrets(options, wanted), *own_secrets(nodes)])
    view = View(nodes.names, as_json=options.output == "json", stages=("probe",), secrets=hidden)
    if options.notice:
        view.notice(options.notice)
    session = Session(nodes, wanted, view)
    session.hide = hidden.hide
    return session


def settle(session: Session, options: argparse.Namespace) -> None:
    """Record which notices were shown, after the session of ``on_nodes``."""
    from madctl.lab import state

    if options.lab:
        state.remember_told(options.lab, [problem.code for problem in session.view.warnings])


def for_slurm(
    options: argparse.Namespace, environment: Mapping[str, str] = os.environ
) -> tuple[dict[str, Any], list[str]]:
    """
    Return the variables of a check in a Slurm job, and the user's own options for sbatch.

    Raises:
        UsageError: If the request is refused.
    """
    if options.login:
        raise refused("USAGE", "check takes no --login", remedy=f"run madctl on {options.login}")
    given = vars(options)
    wanted = check_variables(argparse.Namespace(**{**given, "dry_run": False}), environment)
    asked = argparse.Namespace(**{**given, "time": options.time or slurm_options.CHECK_TIME})
    return wanted, slurm_options.chosen(asked, wanted)


def for_pods(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> tuple[dict[str, Any], Draft]:
    """
    Return the variables of a check in pods, and what would be created.

    Raises:
        UsageError: If the request is refused.
    """
    from madctl.jobs import kubernetes_draft

    kubernetes_options.require(options)
    wanted = check_variables(argparse.Namespace(**{**vars(options), "dry_run": False}), environment)
    return wanted, kubernetes_draft.draft(wanted, job_directory.ONLY_CHECK)
