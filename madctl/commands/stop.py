# SPDX-License-Identifier: Apache-2.0
"""``madctl stop``: stop runs on all their nodes, and verify that nothing of them is left."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import count
from madctl.errors import ExitCode, Problem, RunError, UsageError, refused
from madctl.request.options import add_command, add_output_option
from madctl.screen import terminal

if TYPE_CHECKING:
    from madctl.records.run_record import Record
    from madctl.result import Result

# Of several runs, the worst exit code counts, beginning with runs that may still be running.
_WORST_FIRST = (ExitCode.STOP_UNVERIFIED, ExitCode.INTERNAL, ExitCode.UNREACHABLE, ExitCode.USAGE)
_EXAMPLES = (
    ("stop the latest run", "madctl stop"),
    ("kill a run at once", "madctl stop 20261129-1025 --force"),
    ("stop two runs", "madctl stop big small"),
    ("stop all runs that this machine remembers", "madctl stop --all"),
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "stop", run, "stop runs", "Stop runs on all their nodes.", _EXAMPLES)
    what = "IDs or names of runs, beginnings of IDs, or -1 for the latest (default), -2 for the one before"
    parser.add_argument("runs", nargs="*", metavar="RUN", help=what)
    what = "stop all of your runs that have not ended, as listed by madctl ps; on a terminal, asks first"
    parser.add_argument("--all", action="store_true", help=what)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--force", action="store_true", help="kill immediately")
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Return 0 only when every node of every run proved that nothing is left, otherwise 9."""
    from madctl.records import record_store
    from madctl.screen.problems import show_answer
    from madctl.verbs import stop

    if options.all:
        return _all(options)
    if len(options.runs) > 1:
        return _several(*_named(options.runs), options)
    return show_answer(options, stop.stop(record_store.load(next(iter(options.runs), None)), options.force))


def _named(names: Sequence[str]) -> tuple[list[Record], list[Problem]]:
    """Return the named runs, each of them once, and the problems with names of no run."""
    from madctl.records import record_store

    records: dict[str, Record] = {}
    unknown: list[Problem] = []
    for name in names:
        try:
            record = record_store.load(name)
            records[record.run_id] = record
        except UsageError as error:
            unknown += error.problems
    return list(records.values()), unknown


def _all(options: argparse.Namespace) -> int:
    from madctl.playbook import living
    from madctl.records import record_store, verdicts

    if options.runs:
        raise refused("USAGE", "--all and the name of a run exclude each other")
    if not options.yes and not terminal.can_ask():
        message = "--all asks for confirmation, and there is no terminal"
        raise refused("USAGE", message, remedy="add --yes, or name the runs")
    known, broken = record_store.known()
    records = [record for record in reversed(living.asked(known)) if not verdicts.has_ended(record)]
    if records and not options.yes:
        _ask(records)
    return _several(records, broken, options)


def _ask(records: Sequence[Record]) -> None:
    """
    List runs, and ask whether to stop them.

    Raises:
        RunError: If the answer is no.
    """
    import time

    from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table
    from madctl.records import verdicts

    now = time.time()
    runs = [verdicts.described(record, verdicts.remembered(record), now) for record in records]
    terminal.tell(*status_table.of_runs(runs, terminal.ERR.width()))
    if not terminal.agreed(f"stop {'this run' if len(runs) == 1 else f'these {len(runs)} runs'}?"):
        raise RunError(ExitCode.INTERRUPTED, Problem("INTERRUPTED", "no run was stopped"))


def _several(records: Sequence[Record], problems: Sequence[Problem], options: argparse.Namespace) -> int:
    """
    Stop runs, print the answer for each as soon as it arrives, and return the worst exit code.

    Args:
        problems: Problems with runs that could not be found.
    """
    from madctl.result import Result, as_data, to_json
    from madctl.screen.problems import print_problems
    from madctl.verbs import stop

    as_json = options.output == "json"
    errors, warnings = list(problems), list[Problem]()
    codes = [ExitCode.USAGE] if problems else []
    results: list[dict[str, Any]] = []
    had_ended = 0
    print_problems(errors, [])
    for record, answer in zip(records, stop.several(records, options.force), strict=True):
        one = _of_run(answer.result)
        had_ended += not one.exit_code and _had_ended(record, one)
        if not as_json:
            terminal.say(*answer.lines)
        print_problems(one.errors, one.warnings)
        errors, warnings = [*errors, *one.errors], [*warnings, *one.warnings]
        codes.append(ExitCode(one.exit_code))
        results.append(as_data(one))
    code = next((one for one in _WORST_FIRST if one in codes), max(codes, default=ExitCode.SUCCEEDED))
    if as_json:
        data = {"results": results}
        status = "failed" if code else "stopped"
        terminal.say(to_json(Result("stop", status, code, None, data, errors, warnings)))
    elif len(codes) > 1:
        stopped = codes.count(ExitCode.SUCCEEDED) - had_ended
        others = f"; {had_ended} had already ended" if had_ended else ""
        terminal.say(f"stopped {stopped} of {count(len(results) + len(problems), 'run')}{others}")
    elif not codes:
        terminal.say("no run is running")
    return code


def _had_ended(record: Record, result: Result) -> bool:
    """Return whether a run had ended before this command, even if only its nodes knew that."""
    from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
    from madctl.records import verdicts

    return verdicts.has_ended(record) or (result.data or {})["run"]["status"] != verdict.STOPPED


def _of_run(result: Result) -> Result:
    """Name the run in its problems, for commands about several runs."""

    def named(problems: Sequence[Problem]) -> list[Problem]:
        return [replace(one, message=f"run {result.run_id}: {one.message}") for one in problems]

    return replace(result, errors=named(result.errors), warnings=named(result.warnings))
