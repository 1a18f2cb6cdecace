# SPDX-License-Identifier: Apache-2.0
"""Submit a run as a job of Slurm, and follow it."""

from __future__ import annotations

import argparse
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import run_ids
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import PREFIX
from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from ansible_collections.madctl.multinode.plugins.module_utils._sync.code import Code
from madctl.errors import ExitCode, MadctlError, Problem, RunError, of_signal
from madctl.jobs import place, slurm
from madctl.jobs.slurm import Site
from madctl.playbook.job_session import JobSession, record_of
from madctl.playbook.report import report_run
from madctl.result import Result, to_json, to_problem
from madctl.runs import record_store
from madctl.runs.run_record import Record
from madctl.screen import terminal
from madctl.screen.problems import print_problems
from madctl.screen.view import View

# How long a controller may be away while a job is submitted, and the pause before it is asked again.
_AWAY_SECONDS, _AGAIN_SECONDS = 60.0, 1.0


def run(
    options: argparse.Namespace,
    site: Site,
    wanted: dict[str, Any],
    chosen: list[str],
    hidden: tuple[str, ...],
    shown: Chosen,
) -> int:
    """
    Submit, follow to the end, and return the exit code of the run; with ``--detach`` return after submission.

    Args:
        site: Where the job is submitted.
        wanted: The variables of the launch.
        chosen: The user's own words for sbatch.
        hidden: What must not be shown.
        shown: Whose output is shown.
    """
    slurm.require()
    run_id = run_ids.new()
    code = place.code_of({name.removeprefix(PREFIX): value for name, value in wanted.items()})
    if options.dry_run:
        return _test(run_id, site, options.nodes, chosen, options.output == "json")
    record_store.prepare()
    # Until the session obeys signals, they are only noted: the job must not be left to itself.
    with signals_noted() as noted:
        record, said = _submitted(run_id, site, options.nodes, chosen, wanted, noted, code)
        unsaved = record_store.save(record) or record_store.save_diff(run_id, code.diff if code else b"")
        if noted and record.job:
            slurm.cancel(record.job["id"], site.conf)
            return of_signal(noted[0])
        notices = [Problem("SCHEDULER_REMARK", line) for line in said] + ([unsaved] if unsaved else [])
        notices += [to_problem(dict(found)) for found in code.warnings] if code else []
        notices = [*([options.notice] if options.notice else []), *notices]
        if options.detach:
            return left(record, notices, options.output == "json")
        view = View((), as_json=options.output == "json", stages=(), secrets=hidden, chosen=shown)
        for notice in notices:
            view.notice(notice)
        view.called(run_id, record.name)
        if code:
            view.progress("code", sentences.code(code.about))
        view.progress("queue", f"submitted as job {record.job['id'] if record.job else ''}")
        session = JobSession(record, view, noted=noted)
        session.run()
        return report_run(session, "launch", options.output == "json")


def _submitted(
    run_id: str,
    site: Site,
    nodes: int,
    chosen: list[str],
    wanted: dict[str, Any],
    noted: list[int],
    code: Code | None,
) -> tuple[Record, list[str]]:
    """Write the job's directory and submit the job; what was meant is written before, and what came of it after."""
    arguments = arguments_of(run_id, wanted)
    drafted = place.draft(site.root, run_id, nodes, chosen)
    place.prepare(drafted, arguments, {"requeue": "--requeue" in chosen}, code)
    job = {"on": "slurm", "id": "", "place": str(drafted.place), "conf": site.conf}
    record = replace(record_of(arguments, nodes, job), code=code.about if code else None)
    # If this process is killed before it knows the job's id, the job is found by its name.
    record_store.save(record)
    try:
        job_id, said = _patiently(drafted, list(arguments["env"]), site.conf, noted)
    except MadctlError:
        place.remove(drafted.place)
        record_store.forget(record)
        raise
    return replace(record, job={**job, "id": job_id}), said


def arguments_of(run_id: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a job for the variables of a launch or of a check."""
    return place.in_job({name.removeprefix(PREFIX): value for name, value in wanted.items()}, run_id)


def _patiently(drafted: place.Draft, hidden: list[str], conf: str, noted: list[int]) -> tuple[str, list[str]]:
    """Submit a job, and wait a while for a controller that is away; a signal ends that."""
    deadline, is_told = time.monotonic() + _AWAY_SECONDS, False
    while True:
        try:
            # What a controller did not answer it may have done.
            known = slurm.find(drafted.run_id, conf) if is_told else None
            if known is None:
                return place.submit(drafted, hidden, conf, True)
            place.submitted(drafted, known)
            return known, []
        except RunError as error:
            if noted or time.monotonic() >= deadline:
                raise
            if not is_told:
                terminal.tell(sentences.Sentence("queue", f"{error.problems[0].message}; trying again"))
            is_told = True
            time.sleep(_AGAIN_SECONDS)


@contextmanager
def signals_noted() -> Iterator[list[int]]:
    """Only note signals: between Slurm's answer and our record of it, a job would be lost."""
    noted: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda number, _: noted.append(number)) for number in numbers]
    try:
        yield noted
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _test(run_id: str, site: Site, nodes: int, chosen: list[str], as_json: bool) -> int:
    """Have Slurm judge what would be submitted, and show both."""
    drafted = place.draft(site.root, run_id, nodes, chosen)
    argv, script, said = drafted.argv, place.script(drafted), place.test(drafted, site.conf)
    return show_test(argv, script, said, as_json)


def show_test(argv: list[str], script: str, said: list[str], as_json: bool) -> int:
    """Show what would be submitted, and what Slurm says of it."""
    if as_json:
        data = {"argv": argv, "script": script, "remarks": said}
        terminal.say(to_json(Result("launch", "planned", 0, None, data)))
    else:
        terminal.say(shlex.join(argv), "", *script.splitlines())
        for line in said:
            terminal.tell(sentences.Sentence("queue", line))
    return ExitCode.SUCCEEDED


def left(record: Record, notices: list[Problem], as_json: bool) -> int:
    """Tell how to come back to a run that is queued."""
    job_id = record.job["id"] if record.job else ""
    print_problems([], notices)
    if as_json:
        data = {"job_id": job_id}
        terminal.say(to_json(Result("launch", "queued", 0, record.run_id, data, warnings=notices)))
    else:
        terminal.tell(*sentences.queued(record.run_id, job_id))
    return ExitCode.SUCCEEDED
