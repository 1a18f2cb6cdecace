# SPDX-License-Identifier: Apache-2.0
"""``madctl status``: say how a run stands or ended, and show its state on each of its nodes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table, verdict_text
from ansible_collections.madctl.multinode.plugins.module_utils._show.sentences import Sentence, called
from madctl.errors import ExitCode
from madctl.request.options import add_command, add_output_option, add_run_argument


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Say how a run stands or ended, and why, and show its state on each of its nodes."
    examples = [("show the latest run", "madctl status"), ("show another run", "madctl status 20261129-1025")]
    parser = add_command(commands, "status", run, "show how a run stands or ended", about, examples)
    add_run_argument(parser)
    what = "exit with the exit code of the run: 0 while it runs, 4 where it is unknown how it ended"
    parser.add_argument("--exit-code", action="store_true", help=what)
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print the verdict, one line per node, and what to do next; return 4 when one did not answer."""
    import time

    from madctl.playbook import ask
    from madctl.runs import record_store, verdicts
    from madctl.screen.problems import print_answer

    record = record_store.load(options.run_id)
    if record.job:
        from madctl.playbook import job_verbs

        return job_verbs.status(record, options)
    found, record = ask.nodes_of_run("status", record, {})
    now, judged = time.time(), verdicts.judged(record, found["nodes"])
    updated = record
    if found["nodes"].keys() >= set(record.targets["names"]):
        updated = verdicts.updated(record, judged, now)
    unsaved = record_store.save(updated) if updated != record else None
    about = verdicts.described(updated, judged, now)
    nodes = [{"host": host, **node} for host, node in found["nodes"].items()]
    lines = [verdict_text.whole(about), *(["", *status_table.lines(nodes)] if nodes else [])]
    if any(node["state"] in ("running", "stopping") for node in nodes):
        lines += ["", status_table.alone(nodes)]
    lines += ["", *map(str, _about(about)), *map(str, _next(about, judged.host, judged.rank))]
    notices = [unsaved] if unsaved else []
    data = {"run": about, "nodes": nodes}
    code = print_answer(options, record.run_id, data, lines, found["problems"], notices)
    return _of_run(about) if options.exit_code else code


def _of_run(about: Mapping[str, Any]) -> int:
    if about["status"] == verdict_text.RUNNING:
        return ExitCode.SUCCEEDED
    return ExitCode.UNREACHABLE if about["exit_code"] is None else int(about["exit_code"])


def _about(run: Mapping[str, Any]) -> list[Sentence]:
    note = [Sentence("note", run["note"])] if run["note"] else []
    return [called(run["run_id"], run["name"]), *note, Sentence("work", run["work"])]


def _next(run: Mapping[str, Any], host: str | None, rank: int | None) -> list[Sentence]:
    """Name the commands that fit how a run stands."""
    run_id = run["run_id"]
    which = f" --rank {rank}" if rank is not None else f" --host {host}" if host else ""
    commands = {"logs": f"madctl logs {run_id}{which}"}
    if run["status"] == verdict_text.RUNNING:
        commands |= {"attach": f"madctl attach {run_id}", "stop": f"madctl stop {run_id}"}
    else:
        commands |= {"collect": f"madctl collect {run_id}"}
    return [Sentence(name, command) for name, command in commands.items()]
