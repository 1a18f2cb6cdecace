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
from madctl.errors import ExitCode, Problem, of_signal, refused
from madctl.jobs import ends, place, slurm
from madctl.playbook.job_session import JobSession
from madctl.playbook.report import own_failure, report_run
from madctl.runs import record_store
from madctl.runs.run_record import Record
from madctl.screen.problems import print_answer, print_problems
from madctl.screen.view import View

_LOOK_SECONDS = 0.2
# Without a heartbeat for this long, the scheduler is asked.
_SILENT_SECONDS = 60.0
# What a job needs besides its ranks' time to end: records, and Slurm's own end of it.
_MORE_SECONDS, _FORCED_SECONDS = 30.0, 15.0


def _submitted(record: Record) -> Record:
    """
    Return the record with the id of its job, also where its launch was killed before it knew that.

    Raises:
        UsageError: If no job was submitted.
    """
    assert record.job is not None
    if record.job["id"]:
        return record
    about = place.read(Path(record.job["place"]), job_directory.SUBMISSION) or {}
    found = str(about.get("job_id") or slurm.find(record.run_id) or "")
    if not found.isdigit():
        raise refused("RUN_UNKNOWN", f"run {record.run_id} was not submitted", remedy="launch it again")
    record = replace(record, job={**record.job, "id": found})
    record_store.save(record)
    return record


def _job(record: Record) -> tuple[str, Path]:
    assert record.job is not None
    return record.job["id"], Path(record.job["place"])


# -- status ----------------------------------------------------------------------------------------


def status(record: Record, options: argparse.Namespace) -> int:
    """Print the state of the job, and what is known of each node; 4 if it has to be asked for and Slurm is silent."""
    record = _submitted(record)
    job_id, where = _job(record)
    result = place.read(where, job_directory.RESULT)
    notices = []
    if result is not None:
        state, about = "ended", f"ended with exit code {result.get('exit_code')}"
        notices = _remember(record, result)
    else:
        state, about = _unended(job_id, where)
    nodes = ((result or {}).get("summary") or {}).get("nodes") or record.plan["nodes"]
    lines = [f"run {record.run_id}", f"job {job_id} {about}", f"files of the run: {where}"]
    lines += [_node(node) for node in nodes]
    data = {"job": {"id": job_id, "state": state, "about": about, "place": str(where)}, "nodes": nodes}
    return print_answer(options, record.run_id, data, lines, [], notices)


def _unended(job_id: str, where: Path) -> tuple[str, str]:
    """Return the state of a run without an end, and how to say it; Slurm is asked where the job itself is silent."""
    begun = place.Story(where).has_begun
    beat = (place.read(where, job_directory.STATE) or {}) if begun else {}
    moment = beat.get("time")
    age = max(0.0, time.time() - moment) if isinstance(moment, int | float) else _SILENT_SECONDS
    living = f"running: {beat.get('stage', 'starting')}, seen {age:.0f} s ago"
    if begun and age < _SILENT_SECONDS:
        return "running", living
    found = slurm.look(job_id)
    if found.is_final or found == slurm.FORGOTTEN:
        return "ended", f"ended: {ends.without_record(found, job_id, begun, '').message}"
    return ("running", living) if begun else ("queued", f"queued: {found.state.lower()} {found.reason}".rstrip())


def _node(node: dict[str, Any]) -> str:
    code, number = node.get("exit_code"), node.get("signal")
    how = f"signal {number}" if number else "" if code is None else f"exit code {code}"
    return f"{node['host']}  {how}".rstrip()


def _remember(record: Record, result: dict[str, Any]) -> list[Problem]:
    if record.status != "running":
        return []
    code = int(result.get("exit_code") or 0)
    ended = "succeeded" if not code else "stopped" if code == ExitCode.INTERRUPTED else "failed"
    unsaved = record_store.save(record_store.ended(record, ended, code))
    return [unsaved] if unsaved else []


# -- stop ------------------------------------------------------------------------------------------


def stop(record: Record, options: argparse.Namespace) -> int:
    """Return 0 only when the run wrote its end, or never began, and Slurm says that the job is over; otherwise 9."""
    record = _submitted(record)
    job_id, where = _job(record)
    begun = place.Story(where).has_begun
    ended = place.read(where, job_directory.RESULT) is not None
    if begun and not ended:
        order = b"kill\n" if options.force else b"stop\n"
        place.write(where, job_directory.ORDER, order)
        slurm.ring(job_id)
        seconds = _FORCED_SECONDS if options.force else STOP_SECONDS + _MORE_SECONDS
        ended = _wait(lambda: place.read(where, job_directory.RESULT) is not None or _is_over(job_id), seconds)
    if not ended:
        slurm.cancel(job_id)
    is_over = _wait(lambda: _is_over(job_id), _MORE_SECONDS)
    recorded = place.read(where, job_directory.RESULT) is not None
    problems = []
    if not is_over:
        problems = [Problem("STOP_UNVERIFIED", f"Slurm has not ended job {job_id} yet", remedy="stop the run again")]
    elif begun and not recorded:
        message = f"job {job_id} is over, but it wrote no record: what its nodes ran was ended by Slurm alone"
        problems = [Problem("STOP_UNVERIFIED", message, remedy=f"see {where}")]
    notices = []
    if not problems:
        status_now = record.status if record.status != "running" else "stopped"
        unsaved = record_store.save(record_store.ended(record, status_now, record.exit_code or 0))
        notices = [unsaved] if unsaved else []
    how = "is over, nothing is left" if begun else "was cancelled before it began"
    lines = [] if problems else [f"run {record.run_id}: job {job_id} {how}"]
    hosts = [] if problems else [node["host"] for node in record.plan["nodes"]]
    return print_answer(options, record.run_id, {"stopped": hosts}, lines, problems, notices, good="stopped")


def _is_over(job_id: str) -> bool:
    found = slurm.look(job_id)
    return found.is_final or found == slurm.FORGOTTEN


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


def attach(record: Record, options: argparse.Namespace) -> int:
    """Show a run from its first byte, follow it, and return its exit code."""
    _refuse_since(options)
    record = _submitted(record)
    view = View((), as_json=options.output == "json", stages=())
    session = JobSession(record, view)
    session.run()
    return report_run(session, "attach", options.output == "json")


def logs(record: Record, options: argparse.Namespace) -> int:
    """Print lines, each behind its node and rank."""
    _refuse_since(options)
    record = _submitted(record)
    view = View((), as_json=False, stages=(), quiet=True, rank=options.rank)
    session = JobSession(record, view, follow=options.follow, hosts=options.host)
    session.only_reads = True
    session.run()
    view.close()
    if session.interrupted:
        return of_signal(session.signal)
    broken = own_failure(session)
    print_problems(broken, [])
    return ExitCode.INTERNAL if broken else ExitCode.SUCCEEDED


def _refuse_since(options: argparse.Namespace) -> None:
    if options.since is not None:
        raise refused("USAGE", "--since cannot be used with a run in a job of Slurm", remedy="leave it out")
