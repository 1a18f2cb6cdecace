# SPDX-License-Identifier: Apache-2.0
"""``madctl ps``: list the runs that this machine remembers, or those on nodes."""

from __future__ import annotations

import argparse
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns, status_table
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from madctl.errors import Problem, refused
from madctl.request.options import add_command, add_host_options, add_output_option, hosts_given
from madctl.screen.terminal import OUT

_EXAMPLES = (
    ("list the runs that this machine remembers", "madctl ps"),
    ("find runs on nodes, whoever launched them from wherever", "madctl ps --hosts gpu[01-16]"),
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "List the runs that this machine remembers, or find those on the given nodes and remember them."
    parser = add_command(commands, "ps", run, "list runs", about, _EXAMPLES)
    add_host_options(parser)
    parser.add_argument("--run-dir", metavar="PATH", help="parent of run directories, if it was changed")
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print one line per run, the latest last; return 4 when a node that was asked did not answer."""
    if hosts_given(options):
        return _held(options)
    if options.run_dir:
        raise refused("USAGE", "--run-dir needs nodes to ask", remedy="add --hosts")
    return _remembered(options)


def _remembered(options: argparse.Namespace) -> int:
    from madctl.runs import record_store
    from madctl.screen.problems import print_answer

    records, broken = record_store.known()
    fields = ("run_id", "created", "status", "exit_code")
    runs = [{**{name: getattr(r, name) for name in fields}, "hosts": r.targets["names"]} for r in records]
    rows = [
        (r.run_id, status_table.started(r.created), r.status, fold(r.targets["names"]), joined(r.work)) for r in records
    ]
    lines = columns.fitted([("RUN", "STARTED", "STATUS", "NODES", "WORK"), *rows], OUT.width(), free=(-2, -1))
    return print_answer(options, None, {"runs": runs}, lines, [], broken)


def _held(options: argparse.Namespace) -> int:
    """Ask nodes, and remember runs that were forgotten, or launched elsewhere: the nodes have the truth."""
    from madctl.nodes import choose
    from madctl.playbook import ask
    from madctl.runs import held_runs, record_store
    from madctl.screen.problems import print_answer

    nodes = choose.targets(options)
    found = ask.nodes("ps", nodes, {"madctl_run_dir": options.run_dir} if options.run_dir else {})
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
            f"run {one.run_id} also has nodes that were not asked: {', '.join(one.not_asked)}",
            remedy="name all of its nodes so that this machine remembers it",
        )
        for one in fresh
        if one.not_asked
    ]
    data = [_shown(one, one.run_id in known) for one in runs]
    lines = status_table.of_runs({_named(one.run_id): one.parts for one in runs}, OUT.width())
    return print_answer(options, None, {"runs": data}, lines, found["problems"], notices)


def _known() -> tuple[set[str], list[Problem]]:
    """
    Return the ids of runs that are remembered, and the problems with their records.

    A run that was restarted is on its nodes under its id with a number, and remembered under its first id.
    """
    from madctl.runs import record_store

    records, broken = record_store.known()
    return {name for record in records for name in (record.run_id, record.plan["run_id"])}, broken


def _named(run_id: str) -> str:
    """Write the id that a node reports for a run; an invalid one is quoted, because it begins a line."""
    from madctl.runs.run_record import RUN_ID

    return run_id if RUN_ID.fullmatch(run_id) else repr(run_id)


def _shown(one: Any, remembered: bool) -> dict[str, Any]:
    about = one.described or {}
    nodes = [{"host": host, **{key: part[key] for key in ("state", "run_dir")}} for host, part in one.parts.items()]
    whole = {"run_id": one.run_id, "created": about.get("created"), "states": one.states, "hosts": list(one.parts)}
    return {**whole, "not_asked": one.not_asked, "remembered": remembered, "nodes": nodes}
