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
    from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table
    from madctl.nodes import record_store
    from madctl.playbook.session import ask
    from madctl.result import Result, to_json, to_problem
    from madctl.screen import terminal
    from madctl.screen.view import print_problems

    record = record_store.load(options.run_id)
    found = ask("status", "run_status", record, {})
    problems = [to_problem(entry) for entry in found.get("problems", [])]
    code = ExitCode.UNREACHABLE if problems else ExitCode.SUCCEEDED
    notices = []
    ended = how_it_ended(list(found.get("nodes", {}).values()), len(record.targets["names"]), record.plan)
    if ended and record.status == "running":
        unsaved = record_store.save(record_store.ended(record, ended, exit_code(ended)))
        notices = [unsaved] if unsaved else []
    nodes = [{"host": host, **node} for host, node in found.get("nodes", {}).items()]
    if options.output == "json":
        status = "succeeded" if code == ExitCode.SUCCEEDED else "failed"
        terminal.say(to_json(Result("status", status, code, record.run_id, {"nodes": nodes}, problems, notices)))
    else:
        terminal.say(f"run {record.run_id}")
        terminal.table(status_table.rows(nodes))
        if any(node["state"] in ("running", "stopping") for node in nodes):
            terminal.say("", f"when nobody follows: {status_table.alone(nodes)}")
    print_problems(problems, notices)
    return code


def how_it_ended(nodes: list[dict[str, Any]], count: int, plan: dict[str, Any]) -> str | None:
    """Sum up exit records of all nodes; None while one of them runs on or is silent."""
    records = [node["exit"] for node in nodes if node["exit"]]
    if len(records) < count:
        return None
    if any((record.get("reason") or "stopped") == "stopped" for record in records if record["stopped"]):
        return "stopped"
    is_script = plan["shape"] == "script"
    if any(map(_failed, records)) or is_script and _is_short(records, plan["world_size"]):
        return "failed"
    # No success without its proof: a job can write over a record.
    proof = {"left_behind", "trouble", *(("ranks_joined", "apart") if is_script else ())}
    return "succeeded" if all(proof <= set(record) for record in records) else "unknown"


def _failed(record: dict[str, Any]) -> bool:
    ended = record["outcome"] == "exited" and record["exit_code"] == 0 and not record.get("signal")
    return not ended or bool(record["stopped"] or record.get("left_behind") or record.get("trouble"))


def _is_short(records: list[dict[str, Any]], size: float) -> bool:
    """Tell whether ranks are missing, or every rank made a world of its own, as far as nodes say."""
    joined = [record["ranks_joined"] for record in records if "ranks_joined" in record]
    missing = len(joined) == len(records) and sum(joined) < size
    return missing or sum(len(record.get("apart", ())) for record in records) >= max(size, 2)


def exit_code(ended: str | None) -> ExitCode | None:
    """Give the exit code of a run that ended; None where it is not known."""
    if ended in (None, "unknown"):
        return None
    return ExitCode.SUCCEEDED if ended == "succeeded" else ExitCode.JOB_FAILED
