# SPDX-License-Identifier: Apache-2.0
"""``madctl status``: how a run stands on each of its nodes, asked of the nodes themselves."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.errors import ExitCode
from madctl.options import add_output_option, add_run_argument


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "status",
        help="ask the nodes how a run stands",
        description="Ask the nodes how a run stands.",
        allow_abbrev=False,
    )
    add_run_argument(parser)
    add_output_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one line a node; 4 when one did not answer."""
    from ansible_collections.madctl.multinode.plugins.module_utils import _standing
    from madctl import rundir, terminal
    from madctl.result import Result, to_json, to_problem
    from madctl.session import ask
    from madctl.view import print_problems

    record = rundir.load(options.run_id)
    found = ask("status", "run_status", record, {})
    problems = [to_problem(entry) for entry in found.get("problems", [])]
    code = ExitCode.UNREACHABLE if problems else ExitCode.SUCCEEDED
    notices = []
    ended = how_it_ended(list(found.get("nodes", {}).values()), len(record.targets["names"]))
    if ended and record.status == "running":
        known = ExitCode.SUCCEEDED if ended == "succeeded" else ExitCode.JOB_FAILED
        unsaved = rundir.save(rundir.ended(record, ended, known))
        notices = [unsaved] if unsaved else []
    nodes = [{"host": host, **node} for host, node in found.get("nodes", {}).items()]
    if options.output == "json":
        status = "succeeded" if code == ExitCode.SUCCEEDED else "failed"
        terminal.say(to_json(Result("status", status, code, record.run_id, {"nodes": nodes}, problems, notices)))
    else:
        terminal.say(f"run {record.run_id}")
        terminal.table(_standing.rows(nodes))
        if any(node["state"] in ("running", "stopping") for node in nodes):
            terminal.say("", f"when nobody follows: {_standing.alone(nodes)}")
    print_problems(problems, notices)
    return code


def how_it_ended(nodes: list[dict[str, Any]], count: int) -> str | None:
    """Sum up exit records of all nodes; None while one of them runs on or is silent."""
    records = [node["exit"] for node in nodes if node["exit"]]
    if len(records) < count:
        return None
    if any(record.get("reason", "stopped") == "stopped" for record in records if record["stopped"]):
        return "stopped"
    if 1 < sum(record.get("ranks_joined", 0) for record in records) <= sum(len(r.get("apart") or ()) for r in records):
        return "failed"  # Every rank made a world of its own.
    return "succeeded" if all(r["exit_code"] == 0 and not r["stopped"] for r in records) else "failed"
