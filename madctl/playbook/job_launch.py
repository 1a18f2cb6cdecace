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

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._request import run_ids
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import PREFIX
from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from madctl.errors import ExitCode, MadctlError, Problem, RunError, of_signal
from madctl.jobs import place, slurm
from madctl.jobs.slurm import Site
from madctl.playbook.job_session import JobSession, record_of
from madctl.playbook.report import report_run
from madctl.result import Result, to_json
from madctl.runs import record_store
from madctl.runs.run_record import Record
from madctl.screen import terminal
from madctl.screen.problems import print_problems
from madctl.screen.view import View

# How long agents may take from the start of the job: prologs of sites are slow.
_AGENTS_SECONDS = 300.0
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
    if options.dry_run:
        return _test(run_id, site, options.nodes, chosen, options.output == "json")
    record_store.prepare()
    with signals_noted() as noted:
        record, said = _submitted(run_id, site, options.nodes, chosen, wanted, noted)
        unsaved = record_store.save(record)
        if noted and record.job:
            slurm.cancel(record.job["id"], site.conf)
            return of_signal(noted[0])
    notices = [Problem("SCHEDULER_REMARK", line) for line in said] + ([unsaved] if unsaved else [])
    notices = [*([options.notice] if options.notice else []), *notices]
    if options.detach:
        return _left(record, notices, options.output == "json")
    view = View((), as_json=options.output == "json", stages=(), secrets=hidden, chosen=shown)
    for notice in notices:
        view.notice(notice)
    view.called(run_id, record.name)
    view.progress("queue", f"submitted as job {record.job['id'] if record.job else ''}")
    session = JobSession(record, view)
    session.run()
    return report_run(session, "launch", options.output == "json")


def _submitted(
    run_id: str, site: Site, nodes: int, chosen: list[str], wanted: dict[str, Any], noted: list[int]
) -> tuple[Record, list[str]]:
    """Write the job's directory and submit the job; what was meant is written before, and what came of it after."""
    request = request_of(run_id, wanted, "--requeue" in chosen)
    arguments = request["arguments"]
    where = place.make(site.root, run_id, request)
    argv = slurm.command(run_id, where, nodes, chosen)
    about = {"run_id": run_id, "argv": argv, "state": "submitting"}
    place.write_object(where, job_directory.SUBMISSION, about)
    job = {"on": "slurm", "id": "", "place": str(where), "conf": site.conf}
    record = record_of(arguments, nodes, job)
    # If this process is killed before it knows the job's id, the job is found by its name.
    record_store.save(record)
    try:
        job_id, said = _patiently(run_id, argv, list(arguments["env"]), site.conf, noted)
    except MadctlError:
        place.remove(where)
        record_store.forget(record)
        raise
    place.write_object(where, job_directory.SUBMISSION, {**about, "state": "submitted", "job_id": job_id})
    return replace(record, job={**job, "id": job_id}), said


def request_of(run_id: str, wanted: dict[str, Any], may_return: bool = False) -> dict[str, Any]:
    """
    Return what the job is asked for.

    Args:
        wanted: The variables of a launch or of a check.
        may_return: Whether Slurm may start the job again.
    """
    arguments = {**{name.removeprefix(PREFIX): value for name, value in wanted.items()}, "run_id": run_id}
    # Nodes may be shared with other jobs, of whose ports nothing is known; and Slurm decides who has a node.
    arguments.setdefault("master_port", "auto")
    arguments["skip"] = sorted({*arguments["skip"], "machine"})
    return {"arguments": arguments, "agents_seconds": _AGENTS_SECONDS, "requeue": may_return}


def _patiently(run_id: str, argv: list[str], hidden: list[str], conf: str, noted: list[int]) -> tuple[str, list[str]]:
    """Submit a job, and wait a while for a controller that is away; a signal ends that."""
    deadline, is_told = time.monotonic() + _AWAY_SECONDS, False
    while True:
        try:
            # What a controller did not answer it may have done.
            known = slurm.find(run_id, conf) if is_told else None
            return (known, []) if known else slurm.submit(argv, hidden, conf)
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
    """Show what would be submitted, and what Slurm says of it."""
    where = site.root / run_id
    argv, script = slurm.command(run_id, where, nodes, chosen), place.script(where)
    # The script is not written yet; Slurm does not look into it.
    said = slurm.test([*argv[:-1], "--wrap=true"], site.conf)
    if as_json:
        data = {"argv": argv, "script": script, "remarks": said}
        terminal.say(to_json(Result("launch", "planned", 0, None, data)))
    else:
        terminal.say(shlex.join(argv), "", *script.splitlines())
        for line in said:
            terminal.tell(sentences.Sentence("queue", line))
    return ExitCode.SUCCEEDED


def _left(record: Record, notices: list[Problem], as_json: bool) -> int:
    """Tell how to come back to a run that is queued."""
    job_id = record.job["id"] if record.job else ""
    print_problems([], notices)
    if as_json:
        data = {"job_id": job_id}
        terminal.say(to_json(Result("launch", "queued", 0, record.run_id, data, warnings=notices)))
    else:
        terminal.tell(*sentences.queued(record.run_id, job_id))
    return ExitCode.SUCCEEDED
