# SPDX-License-Identifier: Apache-2.0
"""``madctl ps``: list the runs that this machine remembers, or those on nodes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from madctl.errors import ExitCode, Problem, UsageError
from madctl.request.options import add_host_options, add_output_option, hosts_given


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "ps",
        help="list runs",
        description="List the runs that this machine remembers, or find those on the given nodes and remember them.",
        allow_abbrev=False,
    )
    add_host_options(parser)
    parser.add_argument("--run-dir", metavar="PATH", help="parent of run directories, if it was changed")
    add_output_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one line a run, the latest last; 4 when a node that was asked did not answer."""
    if hosts_given(options):
        return _held(options)
    if options.run_dir:
        raise UsageError(Problem("USAGE", "--run-dir needs nodes to ask", remedy="add --hosts"))
    return _remembered(options)


def _remembered(options: argparse.Namespace) -> int:
    from madctl.result import Result, to_json
    from madctl.runs import record_store
    from madctl.screen import terminal
    from madctl.screen.lines import fold
    from madctl.screen.problems import print_problems

    records, broken = record_store.known()
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
        terminal.say(to_json(Result("ps", "succeeded", ExitCode.SUCCEEDED, data={"runs": runs}, warnings=broken)))
    else:
        rows = [("RUN", "STARTED", "STATUS", "NODES", "WORK")]
        rows += [(r.run_id, _started(r.created), r.status, fold(r.targets["names"]), _work(r.work)) for r in records]
        terminal.table(rows)
    print_problems([], broken)
    return ExitCode.SUCCEEDED


def _held(options: argparse.Namespace) -> int:
    """Ask nodes, and remember what was forgotten or launched elsewhere: the nodes are the truth."""
    from madctl.nodes import choose
    from madctl.playbook import ask
    from madctl.result import Result, to_json, to_problem
    from madctl.runs import held_runs, record_store
    from madctl.screen import terminal
    from madctl.screen.lines import fold
    from madctl.screen.problems import print_problems

    nodes = choose.targets(options)
    found = ask.nodes("ps", nodes, {"madctl_run_dir": options.run_dir} if options.run_dir else {})
    problems = [to_problem(entry) for entry in found["problems"]]
    runs = held_runs.held(found["nodes"], nodes)
    known, notices = _known()
    fresh = [one for one in runs if one.run_id not in known]
    for one in fresh:
        record = one.record(nodes)
        unsaved = record_store.save(record) if record else None
        if unsaved:
            notices = [*notices, unsaved]
        elif record:
            known.add(one.run_id)
    notices += [
        Problem(
            "RUN_INCOMPLETE",
            f"run {one.run_id} also has {', '.join(one.not_asked)}, which {_were(one.not_asked)} not asked",
            remedy="name all of its nodes to have it remembered here",
        )
        for one in fresh
        if one.not_asked
    ]
    code = ExitCode.UNREACHABLE if problems else ExitCode.SUCCEEDED
    if options.output == "json":
        data = [_shown(one, one.run_id in known) for one in runs]
        status = "failed" if problems else "succeeded"
        terminal.say(to_json(Result("ps", status, code, None, {"runs": data}, problems, notices)))
    else:
        rows = [("RUN", "STARTED", "STATE", "NODES", "WORK")]
        for one in runs:
            said = one.described
            started, work = (_started(said["created"]), _work(said["work"])) if said else ("-", "-")
            rows.append((_named(one.run_id), started, ",".join(one.states), fold(list(one.shares)), work))
        terminal.table(rows)
    print_problems(problems, notices)
    return code


def _known() -> tuple[set[str], list[Problem]]:
    """
    Give the ids of runs that are remembered, and what cannot be read of them.

    A run that was restarted is on its nodes under its id with a number, and remembered under its first.
    """
    from madctl.runs import record_store

    records, broken = record_store.known()
    return {name for record in records for name in (record.run_id, record.plan["run_id"])}, broken


def _named(run_id: str) -> str:
    """Write the id that a node gives a run; what can be none is quoted, since it begins a line."""
    from madctl.runs.run_record import RUN_ID

    return run_id if RUN_ID.fullmatch(run_id) else repr(run_id)


def _shown(one: Any, remembered: bool) -> dict[str, Any]:
    said = one.described or {}
    nodes = [{"host": host, **{key: share[key] for key in ("state", "run_dir")}} for host, share in one.shares.items()]
    whole = {"run_id": one.run_id, "created": said.get("created"), "states": one.states, "hosts": list(one.shares)}
    return {**whole, "not_asked": one.not_asked, "remembered": remembered, "nodes": nodes}


def _were(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _started(created: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(created))


def _work(words: Sequence[Any]) -> str:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined

    return str(joined(words))
