# SPDX-License-Identifier: Apache-2.0
"""``madctl stop``: end a run on all of its nodes, with proof that nothing of it is left."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.errors import ExitCode, Problem
from madctl.options import add_output_option, add_run_argument

GRACE_SECONDS, FORCED_SECONDS = 45, 0


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "stop", help="stop a run", description="Stop a run on all of its nodes.", allow_abbrev=False
    )
    add_run_argument(parser)
    parser.add_argument("--force", action="store_true", help="kill at once")
    add_output_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 0 only when every node proved that nothing is left, else 9."""
    from madctl import rundir
    from madctl.engine import Engine
    from madctl.result import Result, to_json
    from madctl.view import fold, print_problems

    record = rundir.load(options.run_id)
    empty: list[str] = []
    said: dict[str, str] = {}

    def on_task(action: str, host: str, result: dict[str, Any]) -> None:
        if action.endswith("run_stop"):
            if result.get("left") == []:
                empty.append(host)
            else:
                said[host] = " ".join(str(result.get("msg", "no answer")).split())

    grace = FORCED_SECONDS if options.force else GRACE_SECONDS
    with Engine(on_task, lambda *_: None) as engine:
        engine.run(
            "stop", record.reach(), {"madctl_run_id": record.plan["run_id"], "madctl_grace": grace, **record.base()}
        )
    remedy = "look at it when it is back, or stop again"
    problems = [
        Problem("STOP_UNVERIFIED", said.get(host, "no answer"), host, remedy)
        for host in record.targets["names"]
        if host not in empty
    ]
    code = ExitCode.STOP_UNVERIFIED if problems else ExitCode.SUCCEEDED
    if not problems:
        rundir.finish(record, record.status if record.status != "running" else "stopped", record.exit_code or 0)
    if options.output == "json":
        status = "failed" if problems else "stopped"
        print(to_json(Result("stop", status, code, record.run_id, {"stopped": empty}, problems)))
    elif empty:
        print(f"run {record.run_id}: nothing is left on {fold(sorted(empty, key=record.targets['names'].index))}")
    print_problems(problems, [])
    return code
