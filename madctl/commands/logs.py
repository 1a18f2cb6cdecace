# SPDX-License-Identifier: Apache-2.0
"""``madctl logs``: show the output of a run, of all nodes or of some."""

from __future__ import annotations

import argparse
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_OPTION
from madctl.errors import ExitCode, Problem, of_signal
from madctl.request.options import add_choice_options, add_command, add_run_argument, add_since_option, taking

_EXAMPLES = (
    ("show what rank 3 of the latest run printed", "madctl logs --rank 3"),
    ("follow all ranks of a run from now on", "madctl logs 20261129-1025 -f --since now"),
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Show the output of a run."
    parser = add_command(commands, "logs", run, "show the output of a run", about, _EXAMPLES)
    add_run_argument(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="keep showing output until the run ends")
    add_choice_options(parser)
    add_since_option(parser)
    what = "show only the last N lines of each log; with --merge, of all of them"
    parser.add_argument("-n", "--lines", type=taking("--lines", BY_OPTION["--lines"].kind), metavar="N", help=what)
    what = "begin each line with the time at which it was printed, by the clock of this machine"
    parser.add_argument("--timestamps", action="store_true", help=what)
    parser.add_argument("--merge", action="store_true", help="order the lines of all logs by time")
    what = "show only attempt N, from 1, of a run whose job Slurm has requeued"
    parser.add_argument("--attempt", type=taking("--attempt", kinds.whole(1, 1 << 20)), metavar="N", help=what)
    what = "output format: text (default), or jsonl: an object per line, with time, host, rank, stream and text"
    parser.add_argument("--output", choices=["text", "jsonl"], default="text", help=what)


def run(options: argparse.Namespace) -> int:
    """Print lines, each prefixed with its node and rank."""
    from madctl.records import record_store
    from madctl.screen.log_view import Form
    from madctl.verbs.logs import reader

    form = Form(options.timestamps, options.merge, options.lines, options.output == "jsonl")
    session = reader(record_store.load(options.run_id), options, form)
    session.run()
    session.view.close()
    return _report(session, options)


def _report(session: Any, options: argparse.Namespace) -> int:
    """Report missing output, and return the exit code."""
    from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import answer_code
    from madctl.playbook.report import own_failure
    from madctl.screen.lines import one_line
    from madctl.screen.problems import print_problems
    from madctl.verbs import logs

    view = session.view
    if session.final is None and not session.interrupted:
        view.errors = [Problem("INTERNAL", one_line(session.failure or "Ansible ended without a result"))]
        print_problems(view.errors, [])
        return ExitCode.INTERNAL
    if session.interrupted:
        return of_signal(session.signal)
    # The user asked for output, not for how the job ended.
    missing = logs.missing(view.errors)
    broken = own_failure(session)
    if not (missing or broken or options.lines == 0 or options.since == "now"):
        view.tell_silent(_when(options.since))
    print_problems([*missing, *broken], [])
    return answer_code([problem.code for problem in missing]) or (ExitCode.INTERNAL if broken else ExitCode.SUCCEEDED)


def _when(since: str | None) -> str:
    if since is None:
        return ""
    return f" in the last {since}" if since[-1:].isalpha() else f" since {since}"
