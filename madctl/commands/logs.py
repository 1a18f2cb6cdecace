# SPDX-License-Identifier: Apache-2.0
"""``madctl logs``: show the output of a run, of all nodes or of some."""

from __future__ import annotations

import argparse
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from madctl.errors import ExitCode, Problem, of_signal, refused
from madctl.request.options import add_command, add_run_argument, add_since_option, taking


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Show the output of a run."
    parser = add_command(commands, "logs", run, "show the output of a run", about)
    add_run_argument(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="wait for more until the run ends")
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="show only this node (repeatable)")
    parser.add_argument("--rank", type=taking("--rank", kinds.whole(0, 10**9)), metavar="N", help="show only this rank")
    add_since_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print lines, each behind its node and rank."""
    from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import LOST, answer_code
    from madctl.playbook.report import own_failure
    from madctl.playbook.session import RunSession
    from madctl.runs import record_store
    from madctl.screen.lines import one_line
    from madctl.screen.problems import print_problems
    from madctl.screen.view import View

    record = record_store.load(options.run_id)
    if record.job:
        from madctl.playbook import job_verbs

        return job_verbs.logs(record, options)
    unknown = [host for host in options.host if host not in record.targets["names"]]
    if unknown:
        names = record.targets["names"]
        remedy = kinds.meant(unknown[0], names) or f"its nodes: {fold(names)}"
        message = f"run {record.run_id} has no node {', '.join(map(repr, unknown))}"
        raise refused("RUN_HOST_UNKNOWN", message, remedy=remedy)
    chosen = [node for node in record.plan["nodes"] if not options.host or node["host"] in options.host]
    nodes = record.reach()
    view = View(nodes.names, as_json=False, stages=(), quiet=True, rank=options.rank)
    plan = {**record.plan, "nodes": chosen}
    view.attached(plan)
    session = RunSession(
        nodes, {"madctl_plan": plan, "madctl_follow": options.follow, "madctl_since": options.since}, view, record
    )
    session.playbook = "logs"
    session.only_reads = True
    session.run()
    view.close()
    if session.final is None and not session.interrupted:
        view.errors = [Problem("INTERNAL", one_line(session.failure or "Ansible ended without a result"))]
        print_problems(view.errors, [])
        return ExitCode.INTERNAL
    if session.interrupted:
        return of_signal(session.signal)
    # How the job ended was not asked, only what output there is.
    missing = [problem for problem in view.errors if problem.code in ("NODE_SILENT", *LOST, "RUN_UNKNOWN")]
    broken = own_failure(session)
    print_problems([*missing, *broken], [])
    return answer_code([problem.code for problem in missing]) or (ExitCode.INTERNAL if broken else ExitCode.SUCCEEDED)
