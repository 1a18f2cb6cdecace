# SPDX-License-Identifier: Apache-2.0
"""Submit a run as a Slurm job, and follow it."""

from __future__ import annotations

import argparse
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import run_ids
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import PREFIX
from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from ansible_collections.madctl.multinode.plugins.module_utils._sync.code import Code
from madctl.after import wishes
from madctl.errors import ExitCode, MadctlError, Problem, RunError, of_signal
from madctl.jobs import place, slurm
from madctl.jobs.slurm import Site
from madctl.playbook.job_session import JobSession, record_of
from madctl.playbook.report import report_run
from madctl.records import record_store
from madctl.records.run_record import Record
from madctl.result import Result, to_json, to_problem
from madctl.screen import terminal
from madctl.screen.problems import print_problems
from madctl.screen.view import View

# How long the controller may be away during submission, and the pause before the next attempt.
_AWAY_SECONDS, _AGAIN_SECONDS = 60.0, 1.0


@dataclass(frozen=True)
class Left:
    """A run that was handed to a scheduler and is not followed yet, with notices about it."""

    record: Record
    notices: tuple[Problem, ...] = ()


def run(
    options: argparse.Namespace,
    site: Site,
    wanted: dict[str, Any],
    chosen: list[str],
    hidden: tuple[str, ...],
    shown: Chosen,
) -> int:
    """
    Submit, follow to the end, and return the exit code of the run; with ``--detach``, return after submission.

    Args:
        site: Where the job is submitted.
        wanted: The variables of the launch.
        chosen: The user's own options for sbatch.
        hidden: What must not be shown.
        shown: Whose output is shown.
    """
    # Until the session handles signals, they are only noted, so that the job is not abandoned.
    with signals_noted() as noted:
        found = submit(options, site, wanted, chosen, noted)
        if noted:
            cancel(found)
            return of_signal(noted[0])
        if options.detach:
            return left(found, options.output == "json")
        session = follower(found, options, hidden, shown, noted)
        session.run()
        return report_run(session, "launch", options.output == "json", wanted=wishes.of(options))


def submit(
    options: argparse.Namespace, site: Site, wanted: dict[str, Any], chosen: list[str], noted: list[int]
) -> Left:
    """
    Submit the job of a run, and record it; see ``run``.

    Args:
        noted: Signals that arrive meanwhile; the caller then cancels the job.

    Raises:
        MadctlError: If the job could not be submitted.
    """
    slurm.require()
    code = code_of(wanted)
    record_store.prepare()
    record, said = _submitted(run_ids.new(), site, options, chosen, wanted, noted, code)
    unsaved = record_store.save(record) or record_store.save_diff(record.run_id, code.diff if code else b"")
    notices = [Problem("SCHEDULER_REMARK", line) for line in said] + ([unsaved] if unsaved else [])
    notices += [to_problem(dict(found)) for found in code.warnings] if code else []
    return Left(record, (*([options.notice] if options.notice else []), *notices))


def cancel(found: Left) -> None:
    """Cancel a run that was just submitted."""
    if found.record.job:
        slurm.cancel(found.record.job["id"], found.record.job["conf"])


def follower(
    found: Left, options: argparse.Namespace, hidden: tuple[str, ...], shown: Chosen, noted: list[int]
) -> JobSession:
    """Return the session that follows a run that was just submitted; see ``run``."""
    view, record = opened(found, options, hidden, shown), found.record
    view.progress("queue", f"submitted as job {record.job['id'] if record.job else ''}")
    return JobSession(record, view, noted=noted)


def opened(found: Left, options: argparse.Namespace, hidden: tuple[str, ...], shown: Chosen) -> View:
    """Return the screen of a run that was just handed to a scheduler, with the facts known so far."""
    view = View((), as_json=options.output == "json", stages=(), secrets=hidden, chosen=shown)
    for notice in found.notices:
        view.notice(notice)
    view.called(found.record.run_id, found.record.name)
    if found.record.code:
        view.progress("code", sentences.code(found.record.code))
    return view


def _submitted(
    run_id: str,
    site: Site,
    options: argparse.Namespace,
    chosen: list[str],
    wanted: dict[str, Any],
    noted: list[int],
    code: Code | None,
) -> tuple[Record, list[str]]:
    """Write the job's directory and the run's record, and submit the job; return the record with the job's ID."""
    arguments = arguments_of(run_id, wanted)
    drafted = place.draft(site.root, run_id, options.nodes, chosen)
    place.prepare(drafted, arguments, {"requeue": "--requeue" in chosen}, code)
    job = {"on": "slurm", "id": "", "place": str(drafted.place), "conf": site.conf}
    record = record_of(arguments, options.nodes, job)
    record = replace(record, typed=options.typed, code=code.about if code else None)
    # If this process is killed before it learns the job's ID, the job can be found by its name.
    record_store.save(record)
    try:
        job_id, said = _patiently(drafted, list(arguments["env"]), site.conf, noted)
    except MadctlError:
        place.remove(drafted.place)
        record_store.forget(record)
        raise
    return replace(record, job={**job, "id": job_id}), said


def code_of(wanted: dict[str, Any]) -> Code | None:
    """
    Read the code to send to a job; None if none is sent.

    Raises:
        UsageError: If the code cannot be sent.
    """
    return place.code_of({name.removeprefix(PREFIX): value for name, value in wanted.items()})


def arguments_of(run_id: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a job for the variables of a launch or of a check."""
    return place.in_job({name.removeprefix(PREFIX): value for name, value in wanted.items()}, run_id)


def _patiently(drafted: place.Draft, hidden: list[str], conf: str, noted: list[int]) -> tuple[str, list[str]]:
    """Submit a job, and retry for a while if the controller is away, until a signal arrives."""
    deadline, is_told = time.monotonic() + _AWAY_SECONDS, False
    while True:
        try:
            # The controller may have accepted the job although its answer was lost.
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
    """Only note signals: a job would be lost between Slurm's answer and our record of it."""
    noted: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda number, _: noted.append(number)) for number in numbers]
    try:
        yield noted
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test(options: argparse.Namespace, site: Site, chosen: list[str]) -> int:
    """Have Slurm test what would be submitted, and show both."""
    slurm.require()
    drafted = place.draft(site.root, run_ids.new(), options.nodes, chosen)
    argv, script, said = drafted.argv, place.script(drafted), place.test(drafted, site.conf)
    return show_test(argv, script, said, options.output == "json")


def show_test(argv: list[str], script: str, said: list[str], as_json: bool) -> int:
    """Show what would be submitted, and Slurm's remarks."""
    if as_json:
        data = {"argv": argv, "script": script, "remarks": said}
        terminal.say(to_json(Result("launch", "planned", 0, None, data)))
    else:
        terminal.say(shlex.join(argv), "", *script.splitlines())
        for line in said:
            terminal.tell(sentences.Sentence("queue", line))
    return ExitCode.SUCCEEDED


def left(found: Left, as_json: bool) -> int:
    """Print how to return to a run that is queued."""
    record, notices = found.record, found.notices
    job_id = record.job["id"] if record.job else ""
    print_problems([], notices)
    if as_json:
        data = {"job_id": job_id}
        terminal.say(to_json(Result("launch", "queued", 0, record.run_id, data, warnings=notices)))
    else:
        terminal.tell(*sentences.queued(record.run_id, job_id))
    return ExitCode.SUCCEEDED
