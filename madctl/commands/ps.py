# SPDX-License-Identifier: Apache-2.0
"""``madctl ps``: the runs that this machine remembers."""

from __future__ import annotations

import argparse
import shlex
import time
from typing import Any

from madctl.errors import ExitCode
from madctl.options import add_output_option


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "ps", help="list runs", description="List the runs of this machine.", allow_abbrev=False
    )
    add_output_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one line a run, the latest last."""
    from ansible_collections.madctl.multinode.plugins.module_utils._words import unpack
    from madctl import rundir
    from madctl.result import Result, to_json
    from madctl.view import fold

    records = [rundir.load(name) for name in rundir.names()]
    if options.output == "json":
        runs = [
            {
                "run_id": r.run_id,
                "created": r.created,
                "status": r.status,
                "exit_code": r.exit_code,
                "hosts": r.targets["names"],
            }
            for r in records
        ]
        print(to_json(Result("ps", "succeeded", ExitCode.SUCCEEDED, data={"runs": runs})))
        return ExitCode.SUCCEEDED
    rows = [("RUN", "STARTED", "STATUS", "NODES", "WORK")]
    for record in records:
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created))
        work = shlex.join(map(unpack, record.work))
        rows.append((record.run_id, started, record.status, fold(record.targets["names"]), work))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]))
    return ExitCode.SUCCEEDED
