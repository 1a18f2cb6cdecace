# SPDX-License-Identifier: Apache-2.0
"""``madctl ps``: list the runs recorded on this machine, or those on nodes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table, verdict_text
from madctl.errors import Problem, refused
from madctl.request.options import add_command, add_host_options, add_output_option, hosts_given, taking
from madctl.screen.terminal import OUT

if TYPE_CHECKING:
    from madctl.records.held_runs import HeldRun
    from madctl.records.run_record import Record

_EXAMPLES = (
    ("list the runs that this machine remembers", "madctl ps"),
    ("find runs on nodes, launched by anyone from anywhere", "madctl ps --hosts gpu[01-16]"),
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "List the runs that this machine remembers, or find those on the given nodes and remember them."
    parser = add_command(commands, "ps", run, "list runs", about, _EXAMPLES)
    which = parser.add_argument_group("which runs")
    which.add_argument("-n", type=taking("-n", kinds.whole(1, 10**9)), metavar="N", help="list only the newest N runs")
    which.add_argument("--failed", action="store_true", help="list only runs that failed")
    add_host_options(parser)
    parser.add_argument("--run-dir", metavar="PATH", help="parent of run directories, if not the default")
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print one line per run, the newest first; return 4 when a node that was asked did not answer."""
    if hosts_given(options):
        return _held(options)
    if options.run_dir:
        raise refused("USAGE", "--run-dir needs nodes to ask", remedy="add --hosts")
    return _remembered(options)


def _remembered(options: argparse.Namespace) -> int:
    import time

    from madctl.records import verdicts
    from madctl.screen.problems import print_answer
    from madctl.verbs.ps import remembered

    began = time.time()
    records, broken = remembered(options.n, options.failed)
    now = time.time()
    runs = [verdicts.described(record, verdicts.remembered(record), now) for record in records]
    for record, shown in zip(records, runs, strict=True):
        is_old = shown["status"] in verdict_text.GOING and (record.seen or 0.0) < began
        shown["as_of"] = (record.seen or record.created) if is_old else None
    runs = _wanted(runs, options)
    return print_answer(options, None, {"runs": runs}, status_table.of_runs(runs, OUT.width()), [], broken)


def _wanted(runs: list[dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    return [shown for shown in runs if not options.failed or shown["status"] == "failed"][: options.n]


def _held(options: argparse.Namespace) -> int:
    """Ask nodes, and record runs that were forgotten, or launched elsewhere: the nodes are authoritative."""
    from madctl.nodes import choose
    from madctl.playbook import ask
    from madctl.records import held_runs, record_store
    from madctl.screen.problems import print_answer

    nodes = choose.targets(options)
    found = ask.nodes("ps", nodes, {"madctl_run_dir": options.run_dir} if options.run_dir else {})
    runs = held_runs.held(found["nodes"], nodes)
    runs.sort(key=lambda one: ((one.described or {}).get("created") or 0.0, one.run_id), reverse=True)
    known, notices = _known()
    fresh = [one for one in runs if one.run_id not in known]
    for one in fresh:
        record = one.record(nodes)
        unsaved = record_store.save(record) if record else None
        if unsaved:
            notices = [*notices, unsaved]
        elif record:
            known[one.run_id] = record
    known = _updated(known, runs)
    notices += [
        Problem(
            "RUN_INCOMPLETE",
            f"run {one.run_id} also has nodes that were not asked: {', '.join(one.not_asked)}",
            remedy="name all of its nodes so that this machine remembers it",
        )
        for one in fresh
        if one.not_asked
    ]
    data = _wanted([_shown(one, known.get(one.run_id)) for one in runs], options)
    lines = status_table.of_runs(data, OUT.width())
    return print_answer(options, None, {"runs": data}, lines, found["problems"], notices)


def _updated(known: dict[str, Record], runs: Sequence[HeldRun]) -> dict[str, Record]:
    """Update the record of each run if all of its nodes answered."""
    import time

    from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
    from madctl.records import record_store, verdicts

    found = dict(known)
    for one in runs:
        record = known.get(one.run_id)
        if record and record.plan["run_id"] == one.run_id and one.parts.keys() >= set(record.targets["names"]):
            found[one.run_id] = verdicts.updated(record, verdict.of_nodes(record.plan, one.parts), time.time())
            if found[one.run_id] != record:
                # If it cannot be written, nodes are asked again next time.
                found[one.run_id], _ = record_store.update(found[one.run_id])
    return found


def _known() -> tuple[dict[str, Record], list[Problem]]:
    """
    Return the recorded runs by ID, and the problems with their records.

    On nodes, a restarted run has its ID with a number; its record has the first ID.
    """
    from madctl.records import record_store

    records, broken = record_store.known()
    return {name: record for record in records for name in (record.run_id, record.plan["run_id"])}, broken


def _shown(one: HeldRun, record: Record | None) -> dict[str, Any]:
    """Describe a run by the answers of its nodes and by its record on this machine."""
    import time

    from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
    from madctl.records import verdicts

    about, now = one.described or {}, time.time()
    nodes = [{"host": host, **{key: part[key] for key in ("state", "run_dir")}} for host, part in one.parts.items()]
    # The record is that of the last attempt, and does not describe earlier ones.
    is_own = record is not None and record.plan["run_id"] == one.run_id
    found = verdicts.joined_with(record, one.verdict) if record is not None and is_own else one.verdict
    began = (record.began if record and is_own else None) or found.began or about.get("created")
    return {
        "run_id": one.run_id,
        "name": one.name,
        "note": about.get("note"),
        **verdict.shown(found, began, now),
        "created": about.get("created"),
        "states": one.states,
        "hosts": list(one.parts),
        "work": joined(about["work"]) if about else None,
        "not_asked": one.not_asked,
        "remembered": record is not None,
        "nodes": nodes,
    }
