# SPDX-License-Identifier: Apache-2.0
"""``madctl collect``: fetch the logs and records of a run to this machine."""

from __future__ import annotations

import argparse
import os
from typing import Any

from madctl.errors import ExitCode
from madctl.request.options import add_option, add_output_option, add_run_argument


def register(commands: Any) -> None:
    """Add the command to the parser."""
    what = "fetch the logs and records of a run"
    parser = commands.add_parser("collect", help=what, description=what, allow_abbrev=False)
    add_run_argument(parser)
    parser.add_argument("--to", metavar="DIRECTORY", help="destination, with one subdirectory per node (default: RUN)")
    what = "maximum size per node (default 4G)"
    add_option(parser, "--max-size", metavar="SIZE", help=what)
    add_output_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 4 when a node gave nothing, 2 when there is no room for what it would give."""
    from madctl.playbook import ask
    from madctl.result import Result, to_json, to_problem
    from madctl.runs import record_store
    from madctl.screen import terminal
    from madctl.screen.lines import fold
    from madctl.screen.problems import print_problems

    record = record_store.load(options.run_id)
    place = os.path.abspath(options.to or record.run_id)
    wanted = {"madctl_dest": place, "madctl_max_size": options.max_size}
    found, _ = ask.nodes_of_run("collect", record, wanted)
    problems = [to_problem(entry) for entry in found.get("problems", [])]
    notices = [to_problem(entry) for entry in found.get("warning_list", [])]
    nodes = found.get("nodes", {})
    code = ExitCode.UNREACHABLE if problems else ExitCode.SUCCEEDED
    if any(problem.code == "DEST_IN_USE" for problem in problems):
        code = ExitCode.USAGE
    if options.output == "json":
        status = "succeeded" if code == ExitCode.SUCCEEDED else "failed"
        terminal.say(to_json(Result("collect", status, code, record.run_id, {"nodes": nodes}, problems, notices)))
    elif nodes:
        terminal.say(f"{place}: {fold(list(nodes))}")
    print_problems(problems, notices)
    return code
