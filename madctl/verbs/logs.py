# SPDX-License-Identifier: Apache-2.0
"""Read the output of a run, of all nodes or of some."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import LOST
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen, narrowed
from madctl.errors import Problem, refused
from madctl.playbook.session import RunSession
from madctl.records.run_record import Record
from madctl.request import output_choice
from madctl.screen.log_view import Form, LogView


def reader(record: Record, options: argparse.Namespace, form: Form) -> RunSession:
    """
    Return the session that reads the output; neither reading nor its end has an effect on the run.

    Raises:
        MadctlError: If there is nothing to read, or the options choose output that the run does not have.
    """
    read: Any = _reader
    if record.job:
        from madctl.playbook import schedulers

        verbs = schedulers.verbs(record)
        record, read = verbs.planned(record), verbs.reader
    chosen = output_choice.of_run(options, record.plan)
    if options.attempt and not record.job:
        raise refused("USAGE", "--attempt is for runs in jobs of Slurm")
    session: RunSession = read(record, options, form, chosen)
    session.playbook = "logs"
    session.only_reads = True
    return session


def missing(problems: Sequence[Problem]) -> list[Problem]:
    """Return only the problems that mean missing output: the user did not ask how the job ended."""
    return [problem for problem in problems if problem.code in ("NODE_SILENT", *LOST, "RUN_UNKNOWN")]


def _reader(record: Record, options: argparse.Namespace, form: Form, chosen: Chosen) -> RunSession:
    whole: Any = record.plan
    plan: Any = narrowed(chosen, whole)
    view = LogView(record.targets["names"], plan, form, chosen)
    view.attached(plan)
    wanted = {
        "madctl_plan": plan,
        "madctl_follow": options.follow,
        "madctl_since": options.since,
        "madctl_lines": options.lines,
        "madctl_show_ranks": options.rank,
        "madctl_with_times": form.needs_times,
    }
    return RunSession(record.reach(), wanted, view, record)
