# SPDX-License-Identifier: Apache-2.0
"""``madctl status``: show the live state of a run on each of its nodes."""

from __future__ import annotations

import argparse
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table
from madctl.request.options import add_command, add_output_option, add_run_argument


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Show the live state of a run on each of its nodes."
    parser = add_command(commands, "status", run, "show the live state of a run", about)
    add_run_argument(parser)
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print one line per node; return 4 when one did not answer."""
    from madctl.playbook import ask
    from madctl.runs import record_store
    from madctl.runs.exit_records import exit_code, how_it_ended
    from madctl.screen.problems import print_answer

    record = record_store.load(options.run_id)
    if record.job:
        from madctl.playbook import job_verbs

        return job_verbs.status(record, options)
    found, record = ask.nodes_of_run("status", record, {})
    notices = []
    ended = how_it_ended(list(found["nodes"].values()), len(record.targets["names"]), record.plan)
    if ended and record.status == "running":
        unsaved = record_store.save(record_store.ended(record, ended, exit_code(ended)))
        notices = [unsaved] if unsaved else []
    nodes = [{"host": host, **node} for host, node in found["nodes"].items()]
    lines = [f"run {record.run_id}", *status_table.lines(nodes)]
    if any(node["state"] in ("running", "stopping") for node in nodes):
        lines += ["", status_table.alone(nodes)]
    return print_answer(options, record.run_id, {"nodes": nodes}, lines, found["problems"], notices)
