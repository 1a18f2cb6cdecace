# SPDX-License-Identifier: Apache-2.0
"""Commands about a run inside a scheduler's job, which use its directory, and the scheduler if that does not tell."""

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
from madctl.errors import ExitCode, Problem, RunError, refused
from madctl.jobs import attempts, place, slurm, standing
from madctl.jobs.reading import Reading
from madctl.jobs.standing import Standing
from madctl.playbook.job_session import JobSession, is_behind, with_plan
from madctl.records import record_store, verdicts
from madctl.records.run_record import Record
from madctl.result import Answer, answer
from madctl.screen.log_view import Form, LogView
from madctl.screen.view import View

_LOOK_SECONDS = 0.2
# Additional time to end a job, besides that of its ranks: for its records, and for Slurm to end it.
_MORE_SECONDS, _FORCED_SECONDS, _SOON_SECONDS = 30.0, 15.0, 10.0


def submitted(record: Record) -> Record:
    """
    Return the record with the ID of its job, even if the launch was killed before it learned that.

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
    """Determine the state of a run; return it, and the record with the job and the plan."""
    record = planned(record)
    assert record.job is not None
    return standing.of(record.job), record


# -- stop ------------------------------------------------------------------------------------------


def stop(record: Record, is_forced: bool) -> Answer:
    """Stop a run; report no problem only if it wrote its end, or never began, and Slurm says that the job is over."""
    record = submitted(record)
    assert record.job is not None
    job_id, base, conf = record.job["id"], Path(record.job["place"]), record.job.get("conf", "")
    where = attempts.where(base, attempts.last(base))
    silent: list[Problem] = []

    def state() -> slurm.State | None:
        silent.clear()
        try:
            return slurm.look(job_id, conf)
        except RunError as error:
            silent.extend(error.problems)
            return None

    def is_over() -> bool:
        found = state()
        return found is not None and (found.is_final or found == slurm.FORGOTTEN)

    had_ended = ended = _has_ended(where)
    current = None if ended else state()
    begun = place.Story(where).has_begun and not (current and current.state in slurm.WAITING)
    # A suspended job can be ended only by Slurm, which resumes it first.
    if begun and not ended and not (current and current.state == slurm.SUSPENDED):
        place.write(base, job_directory.ORDER, b"kill\n" if is_forced else b"stop\n")
        if not silent:  # The job also looks for orders on its own.
            slurm.ring(job_id, conf)
        seconds = _FORCED_SECONDS if is_forced else STOP_SECONDS + _MORE_SECONDS
        ended = _wait(lambda: _has_ended(where) or is_over(), seconds)
    # A job whose run has ended is about to end on its own.
    if not ended or not _wait(lambda: is_over() or bool(silent), _SOON_SECONDS):
        slurm.cancel(job_id, conf)
    problems = []
    is_proven = _wait(lambda: is_over() or bool(silent), _MORE_SECONDS) and not silent
    attempts.forget_request(base)
    if not is_proven and silent:
        remedy = f"ask again later: madctl status {record.run_id}"
        if ended:
            message = f"the run has ended, but whether job {job_id} is over is not known: {silent[0].message}"
            problems = [Problem(silent[0].code, message, remedy=remedy)]
        else:
            problems = [replace(silent[0], remedy=f"stop it again later: madctl stop {record.run_id}")]
    elif not is_proven:
        problems = [Problem("STOP_UNVERIFIED", f"Slurm has not ended job {job_id} yet", remedy="stop the run again")]
    elif begun and place.read(where, job_directory.RESULT) is None:
        message = f"job {job_id} is over, but it wrote no record: Slurm alone ended the processes on its nodes"
        problems = [Problem("STOP_UNVERIFIED", message, remedy=f"see {where}")]
    return _stopped(record, problems, begun, had_ended)


def _has_ended(where: Path) -> bool:
    """Return whether an attempt has written its end, other than one that Slurm ended and may requeue."""
    result = place.read(where, job_directory.RESULT)
    return result is not None and not result.get("by_scheduler")


def _stopped(record: Record, problems: list[Problem], begun: bool, had_ended: bool) -> Answer:
    """Record the state of a run after an order to stop, and return the answer."""
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
    had_begun = record.job is not None and place.Story(Path(record.job["place"])).has_begun
    waited = "while it waited to be started again" if had_begun else "before it began"
    how = "is over, nothing is left" if begun else f"was cancelled {waited}"
    lines = [] if problems else [f"run {record.run_id}: job {job_id} {how}"]
    if not problems and had_ended:
        lines.append(f"it had ended before: {verdict_text.whole(about)}")
    data = {"stopped": hosts, "run": about}
    return answer("stop", record.run_id, data, lines, problems, notices, good="stopped")


def _wait(is_reached: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; check it at growing intervals, because the scheduler may have to be queried."""
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
    where = Path(record.job["place"])
    plan = place.planned(attempts.where(where, attempts.last(where))) if is_behind(record) else None
    return with_plan(record, plan) if plan else record


def follower(record: Record, options: argparse.Namespace, view: View) -> JobSession:
    """Return the session that shows a run from its first byte, or from a time on, and follows it."""
    return JobSession(record, view, reading=Reading(since(options)))


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
    reading, attempt = Reading(since(options), options.lines), _chosen_attempt(record, options)
    return JobSession(record, view, options.follow, reading, view.show_merged, attempt)


def _chosen_attempt(record: Record, options: argparse.Namespace) -> int | None:
    """Return the number of the wanted attempt, counting from 0; None for all of them."""
    assert record.job is not None
    if options.attempt is None:
        return None
    count = attempts.last(Path(record.job["place"])) + 1
    if options.attempt > count:
        raise refused("USAGE", f"run {record.run_id} has {count} attempt{'s' if count > 1 else ''}")
    return int(options.attempt) - 1


def since(options: argparse.Namespace) -> float | None:
    """Return the time from which output is wanted, in seconds since the epoch; None for all of it."""
    now = time.time()
    found = kinds.since(options.since, now)
    return now if isinstance(found, str) else found
