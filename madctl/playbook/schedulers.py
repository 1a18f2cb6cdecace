# SPDX-License-Identifier: Apache-2.0
"""Choose the module for commands about a run in a job by its scheduler; all modules have the same functions."""

from __future__ import annotations

import argparse
from typing import Any, Protocol

from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from madctl.jobs.standing import Standing
from madctl.playbook.session import RunSession
from madctl.records.run_record import Record
from madctl.result import Answer
from madctl.screen.log_view import Form
from madctl.screen.view import View


class Verbs(Protocol):
    """The commands for a run in a job."""

    def stands(self, record: Record) -> tuple[Standing, Record]:
        """Determine the state of a run; return it, and the record with the plan."""

    def planned(self, record: Record) -> Record:
        """Return the record of a run with its plan, if there is one yet."""

    def stop(self, record: Record, is_forced: bool) -> Answer:
        """Stop a run, and verify that nothing of it is left."""

    def follower(self, record: Record, options: argparse.Namespace, view: View) -> RunSession:
        """Return the session that shows a run from its first byte, and follows it."""

    def reader(self, record: Record, options: argparse.Namespace, form: Form, chosen: Chosen) -> Any:
        """Return the session of ``madctl logs``."""


def verbs(record: Record) -> Verbs:
    """Return the commands for a run in a job."""
    from madctl.playbook import job_login, job_verbs, kubernetes_verbs

    assert record.job is not None
    if record.job["on"] == "k8s":
        return kubernetes_verbs
    return job_login if job_login.is_elsewhere(record) else job_verbs
