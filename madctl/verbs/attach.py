# SPDX-License-Identifier: Apache-2.0
"""Follow a run that was already started."""

from __future__ import annotations

import argparse

from madctl.playbook.session import RunSession
from madctl.records.run_record import Record
from madctl.request import output_choice
from madctl.screen.view import View


def follower(record: Record, options: argparse.Namespace) -> RunSession:
    """
    Return the session that shows a run from its first byte, or from a time on, and follows it to its end.

    Raises:
        MadctlError: If the options choose output that the run does not have.
    """
    as_json = options.output == "json"
    if record.job:
        from madctl.playbook import schedulers

        verbs = schedulers.verbs(record)
        record = verbs.planned(record)
        chosen = output_choice.of_run(options, record.plan)
        return verbs.follower(record, options, View((), as_json=as_json, stages=(), chosen=chosen))
    nodes = record.reach()
    chosen = output_choice.of_run(options, record.plan)
    view = View(nodes.names, as_json=as_json, stages=(), chosen=chosen)
    view.attached(record.plan)
    wanted = {"madctl_plan": record.plan, "madctl_follow": True, "madctl_read_only": False}
    wanted["madctl_since"] = options.since
    session = RunSession(nodes, wanted, view, record)
    session.playbook = "logs"
    return session
