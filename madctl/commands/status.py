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
    from madctl import rundir
    from madctl.result import Result, to_json, to_problem
    from madctl.session import ask
    from madctl.view import print_problems

    record = rundir.load(options.run_id)
    found = ask("status", "run_status", record, {})
    problems = [to_problem(entry) for entry in found.get("problems", [])]
    code = ExitCode.UNREACHABLE if problems else ExitCode.SUCCEEDED if found else ExitCode.INTERNAL
    ended = how_it_ended(list(found.get("nodes", {}).values()), len(record.targets["names"]))
    if ended and record.status == "running":
        rundir.finish(record, ended, ExitCode.SUCCEEDED if ended == "succeeded" else ExitCode.JOB_FAILED)
    nodes = [{"host": host, **node} for host, node in found.get("nodes", {}).items()]
    if options.output == "json":
        status = "succeeded" if code == ExitCode.SUCCEEDED else "failed"
        print(to_json(Result("status", status, code, record.run_id, {"nodes": nodes}, problems)))
    else:
        print(f"run {record.run_id}")
        rows = [("NODE", "STATE", "CONTAINER", "RANKS", "PROCESSES", "EXIT")]
        rows += [
            (
                node["host"],
                node["state"],
                node["container"] or "-",
                str(node["joined"]),
                str(node["processes"]),
                _exit(node["exit"]),
            )
            for node in nodes
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if any(node["state"] in ("running", "stopping") for node in nodes):
            print(f"\nwhen nobody follows: {alone(nodes)}")
    print_problems(problems, [])
    return code


def alone(nodes: list[dict[str, Any]]) -> str:
    """Say what a failure on one node means for the others when nobody is there to tell them."""
    paths = {node["storage"] for node in nodes}
    if len(nodes) < 2:
        return "the node ends by itself"
    if None in paths:
        return "a node learns of another's failure by its runner's own time-out; --shared-path shortens that to 60 s"
    return f"a node learns of another's failure within 60 s, through {', '.join(sorted(map(str, paths)))}"


def how_it_ended(nodes: list[dict[str, Any]], count: int) -> str | None:
    """Sum up exit records of all nodes; None while one of them runs on or is silent."""
    records = [node["exit"] for node in nodes if node["exit"]]
    if len(records) < count:
        return None
    if any(record.get("reason", "stopped") == "stopped" for record in records if record["stopped"]):
        return "stopped"
    return "succeeded" if all(r["exit_code"] == 0 and not r["stopped"] for r in records) else "failed"


_REASONS = {"stopped": "stopped", "timed_out": "timed out", "idle": "silent", "peer_failed": "another node failed"}


def _exit(record: dict[str, Any] | None) -> str:
    if record is None:
        return "-"
    if record["outcome"] != "exited":
        return str(record["outcome"]).replace("_", " ")
    why = _REASONS.get(str(record.get("reason")))
    how = f"signal {record['signal']}" if record["signal"] else str(record["exit_code"])
    return f"{how} ({why})" if why else how
