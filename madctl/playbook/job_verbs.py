# SPDX-License-Identifier: Apache-2.0
"""Commands about a run inside of a scheduler's job: its directory tells, and the scheduler where that is silent."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import STOP_SECONDS
from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._show import verdict_text
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen, narrowed
from madctl.errors import ExitCode, Problem, refused
from madctl.jobs import place, slurm, standing
from madctl.jobs.reading import Reading
from madctl.jobs.standing import Standing
from madctl.playbook.job_session import JobSession, with_plan
from madctl.playbook.report import report_run
from madctl.runs import record_store, verdicts
from madctl.runs.run_record import Record
from madctl.screen.log_view import Form, LogView
from madctl.screen.problems import print_answer
from madctl.screen.view import View

_LOOK_SECONDS = 0.2
# What a job needs besides its ranks' time to end: records, and Slurm's own end of it.
_MORE_SECONDS, _FORCED_SECONDS = 30.0, 15.0


def submitted(record: Record) -> Record:
    """
    Return the record with the id of its job, also where its launch was killed before it knew that.

    Raises:
        UsageError: If no job was submitted.
    """
    assert record.job is not None
    if record.job["id"]:
        return record
    about = place.read(Path(record.job["place"]), job_directory.SUBMISSION) or {}
    found = str(about.get("job_id") or slurm.find(record.run_id, record.job.get("conf", "")) or "")
    if not found.isdigit():
        raise refused("RUN_UNKNOWN", f"run {record.run_id} was not submitted", remedy="launch it again")
    record = replace(record, job={**record.job, "id": found})
    record_store.save(record)
    return record


def stands(record: Record) -> tuple[Standing, Record]:
    """Find out how a run stands; return that, and the record with its job and its plan."""
    record = planned(record)
    assert record.job is not None
    return standing.of(record.job), record


# -- stop ------------------------------------------------------------------------------------------


def stop(record: Record, options: argparse.Namespace) -> int:
    """Return 0 only when the run wrote its end, or never began, and Slurm says that the job is over; otherwise 9."""
    record = submitted(record)
    assert record.job is not None
    job_id, where, conf = record.job["id"], Path(record.job["place"]), record.job.get("conf", "")
    begun = place.Story(where).has_begun
    had_ended = ended = place.read(where, job_directory.RESULT) is not None

    def is_over() -> bool:
        found = slurm.look(job_id, conf)
        return found.is_final or found == slurm.FORGOTTEN

    if begun and not ended:
        place.write(where, job_directory.ORDER, b"kill\n" if options.force else b"stop\n")
        slurm.ring(job_id, conf)
        seconds = _FORCED_SECONDS if options.force else STOP_SECONDS + _MORE_SECONDS
        ended = _wait(lambda: place.read(where, job_directory.RESULT) is not None or is_over(), seconds)
    if not ended:
        slurm.cancel(job_id, conf)
    problems = []
    if not _wait(is_over, _MORE_SECONDS):
        problems = [Problem("STOP_UNVERIFIED", f"Slurm has not ended job {job_id} yet", remedy="stop the run again")]
    elif begun and place.read(where, job_directory.RESULT) is None:
        message = f"job {job_id} is over, but it wrote no record: what its nodes ran was ended by Slurm alone"
        problems = [Problem("STOP_UNVERIFIED", message, remedy=f"see {where}")]
    return _stopped(record, options, problems, begun, had_ended)


def _stopped(record: Record, options: argparse.Namespace, problems: list[Problem], begun: bool, had_ended: bool) -> int:
    """Remember and print how a run stands that was told to end."""
    found, record = stands(record)
    now, judged, notices = time.time(), verdicts.joined_with(record, found.verdict), []
    if not problems and not verdicts.has_ended(record):
        if not had_ended and not begun:
            judged = verdict.Verdict(verdict.STOPPED, ended=now, exit_code=int(ExitCode.INTERRUPTED))
        record, unsaved = record_store.update(verdicts.updated(record, judged, now))
        notices = [unsaved] if unsaved else []
    about = verdicts.described(record, judged, now)
    hosts = [] if problems else [node["host"] for node in record.plan["nodes"]]
    job_id = record.job["id"] if record.job else ""
    how = "is over, nothing is left" if begun else "was cancelled before it began"
    lines = [] if problems else [f"run {record.run_id}: job {job_id} {how}"]
    if not problems and had_ended:
        lines.append(f"it had ended before: {verdict_text.whole(about)}")
    data = {"stopped": hosts, "run": about}
    return print_answer(options, record.run_id, data, lines, problems, notices, good="stopped")


def _wait(is_reached: Callable[[], bool], seconds: float) -> bool:
    """Look, ever more seldom, whether something is reached; the scheduler may be asked for it."""
    deadline, pause = time.monotonic() + seconds, _LOOK_SECONDS
    while not is_reached():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(2.0, pause * 1.5)
    return True


# -- output ----------------------------------------------------------------------------------------


def planned(record: Record) -> Record:
    """Return the record of a run with its job, and its plan if there is one yet."""
    record = submitted(record)
    assert record.job is not None
    plan = None if record.plan["nodes"] else place.planned(Path(record.job["place"]))
    return with_plan(record, plan) if plan else record


def attach(record: Record, options: argparse.Namespace, chosen: Chosen) -> int:
    """Show a run from its first byte, or since a time, follow it, and return its exit code."""
    view = View((), as_json=options.output == "json", stages=(), chosen=chosen)
    session = JobSession(record, view, reading=Reading(since(options)))
    session.run()
    return report_run(session, "attach", options.output == "json")


def reader(record: Record, options: argparse.Namespace, form: Form, chosen: Chosen) -> JobSession:
    """
    Return the session of ``madctl logs``.

    Raises:
        UsageError: If the files of the run are gone.
    """
    where = record.job["place"] if record.job else ""
    if not Path(where).is_dir():
        raise refused("RUN_UNKNOWN", f"the files of run {record.run_id} are gone: {where}")
    plan: Any = record.plan
    view = LogView([node["host"] for node in plan["nodes"]], narrowed(chosen, plan), form, chosen)
    return JobSession(record, view, options.follow, Reading(since(options), options.lines), view.show_merged)


def since(options: argparse.Namespace) -> float | None:
    """Return since when output is wanted, in seconds since the epoch; None for the first byte."""
    now = time.time()
    found = kinds.since(options.since, now)
    return now if isinstance(found, str) else found
