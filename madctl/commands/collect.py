# SPDX-License-Identifier: Apache-2.0
"""``madctl collect``: fetch the logs and records of a run to this machine."""

from __future__ import annotations

import argparse
import os
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from madctl.request.options import add_command, add_option, add_output_option, add_run_argument


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "fetch the logs and records of a run"
    examples = [
        ("fetch the logs of the latest run into results/, one directory per node", "madctl collect --to results")
    ]
    parser = add_command(commands, "collect", run, about, about, examples)
    add_run_argument(parser)
    parser.add_argument("--to", metavar="DIRECTORY", help="destination, with one subdirectory per node (default: RUN)")
    what = "maximum size per node (default 4G)"
    add_option(parser, "--max-size", metavar="SIZE", help=what)
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Return 4 when a node sent nothing, 2 when the destination is in use."""
    import time

    from madctl.playbook import ask, living
    from madctl.records import record_store, verdicts
    from madctl.report import beside
    from madctl.result import to_problem
    from madctl.screen.problems import print_answer

    record = record_store.load(options.run_id)
    if record.job:
        from madctl.playbook import job_collect

        return job_collect.run(record, options, beside.write)
    place = os.path.abspath(options.to or record.run_id)
    wanted = {"madctl_dest": place, "madctl_max_size": options.max_size}
    found, record = ask.nodes_of_run("collect", record, wanted)
    notices = [to_problem(entry) for entry in found.get("warning_list", [])]
    nodes = found["nodes"]
    lines = [f"{place}: {fold(list(nodes))}"] if nodes else []
    (record,), now = living.asked([record]), time.time()
    about = verdicts.described(record, verdicts.remembered(record), now)
    silent = [problem.host for problem in found["problems"] if problem.host]
    report, trouble = beside.write(record, place, silent) if nodes else (None, [])
    lines += [report] if report else []
    data = {"nodes": nodes, "run": about, "report": report}
    return print_answer(options, record.run_id, data, lines, found["problems"], [*notices, *trouble])
