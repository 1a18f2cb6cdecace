# SPDX-License-Identifier: Apache-2.0
"""Check nodes in a short Slurm job, which leaves nothing behind; or check only what this machine can tell."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._job import run_root
from ansible_collections.madctl.multinode.plugins.module_utils._request import run_ids
from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences
from madctl.errors import ExitCode, Problem, RunError
from madctl.jobs import place, slurm
from madctl.jobs.slurm import Site
from madctl.nodes import inventory
from madctl.nodes.inventory import Targets
from madctl.playbook import EventListener, TaskListener, job_launch
from madctl.playbook.in_job import InJob
from madctl.playbook.report import report_check
from madctl.playbook.session import Session
from madctl.result import Result, to_json, to_problem
from madctl.screen import terminal
from madctl.screen.problems import print_problems
from madctl.screen.view import View

# How long a cancelled job may take to end before its directory is removed.
_ENDING_SECONDS, _LOOK_SECONDS = 10.0, 0.3


class CheckSession(Session):
    """A check that is followed through its files; its nodes are known once its job runs."""

    def __init__(self, job: dict[str, Any], view: View, noted: Sequence[int]) -> None:
        """
        Prepare.

        Args:
            noted: Signals that arrived before this session could handle them.
        """
        super().__init__(Targets((), inventory.of_group({}, {})), {}, view)
        self._job, self._noted = job, noted

    def player(self, on_task: TaskListener, on_event: EventListener) -> InJob:
        """Return the follower of the job."""
        return InJob(on_task, on_event, self._job, self.view.progress)

    def _play(self) -> None:
        for number in self._noted:
            self.on_signal(number, None)
        super()._play()

    def on_task(self, action: str, host: str, result: dict[str, Any]) -> None:
        """Take the result, unless the user has stopped waiting for it."""
        del action, host
        if not result.get("detached"):
            self.verdict = result
            self.view.judged([to_problem(entry) for entry in result.get("warning_list", [])])
            self.view.errors = [self._located(to_problem(entry)) for entry in result.get("problems", [])]

    def _located(self, problem: Problem) -> Problem:
        """Add the path of the file that a remedy mentions: a check has no run by which to find it."""
        where = str(self._job["place"])
        if problem.remedy is None or job_directory.JOB_LOG not in problem.remedy or where in problem.remedy:
            return problem
        return replace(problem, remedy=f"see {where}/{job_directory.JOB_LOG}")

    @property
    def refers_to_files(self) -> bool:
        """Whether an error refers the user to files of the job."""
        return any(str(self._job["place"]) in (problem.remedy or "") for problem in self.view.errors)


def run(
    options: argparse.Namespace, site: Site, wanted: dict[str, Any], chosen: list[str], hidden: tuple[str, ...]
) -> int:
    """
    Check in a job, and return the exit code; Ctrl-C removes a waiting job from the queue.

    Args:
        site: Where the job is submitted.
        wanted: The variables of the check.
        chosen: The user's own options for sbatch.
        hidden: What must not be shown.
    """
    # Until the session handles signals, they are only noted, so that the job is not abandoned.
    with job_launch.signals_noted() as noted, opened(options, site, wanted, chosen, hidden, noted) as session:
        session.run()
        return report_check(session, options)


@contextmanager
def opened(
    options: argparse.Namespace,
    site: Site,
    wanted: dict[str, Any],
    chosen: list[str],
    hidden: tuple[str, ...],
    noted: Sequence[int],
) -> Iterator[CheckSession]:
    """Submit the job of a check, and remove it when its session is no longer needed; see ``run``."""
    slurm.require()
    job, said = _submitted(site, options.nodes, chosen, wanted)
    view = View((), as_json=options.output == "json", stages=(), secrets=hidden)
    remarks = [Problem("SCHEDULER_REMARK", line) for line in said]
    for notice in [*([options.notice] if options.notice else []), *remarks]:
        view.notice(notice)
    view.progress("queue", f"submitted as job {job['id']}")
    session = CheckSession(job, view, noted)
    try:
        yield session
    finally:
        is_over = session.verdict is not None
        _leave(job, is_over, is_over and not session.interrupted and session.refers_to_files)


def _submitted(site: Site, nodes: int, chosen: list[str], wanted: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Write the directory of the job and submit it; return ``id``, ``place`` and ``conf``, and Slurm's remarks."""
    run_id = run_ids.new()
    arguments = job_launch.arguments_of(run_id, wanted)
    drafted = place.draft(site.root, run_id, nodes, chosen)
    place.prepare(drafted, arguments, {"only": job_directory.ONLY_CHECK}, place.code_of(arguments))
    job_id, said = place.submit(drafted, list(arguments["env"]), site.conf)
    return {"id": job_id, "place": drafted.place, "conf": site.conf}, said


def _leave(job: dict[str, Any], is_over: bool, is_kept: bool) -> None:
    """Cancel the job unless it is over, and remove its directory unless that is to be kept."""
    if not is_over:
        slurm.cancel(job["id"], job["conf"])
        deadline = time.monotonic() + _ENDING_SECONDS
        while time.monotonic() < deadline and not _has_ended(job):
            time.sleep(_LOOK_SECONDS)
    if not is_kept:
        place.remove(job["place"])


def _has_ended(job: dict[str, Any]) -> bool:
    try:
        found = slurm.look(job["id"], job["conf"], _ENDING_SECONDS)
    except RunError:
        return False
    return found.is_final or found == slurm.FORGOTTEN


# -- without a job ---------------------------------------------------------------------------------


def test(options: argparse.Namespace, site: Site, chosen: list[str]) -> int:
    """Check only what this machine can tell: Slurm's programs, the run root, whether Slurm would accept the job."""
    slurm.require()
    run_id = run_ids.new()
    # Slurm does not inspect the script here, so none is written.
    argv = slurm.command(run_id, site.root / run_id, options.nodes, chosen)
    said = slurm.test([*argv[:-1], "--wrap=true"], site.conf)
    version = slurm.version(site.conf)
    storage = run_root.storage(str(site.root))
    notices = [] if storage.is_network else [_local(site, storage)]
    if options.output == "json":
        root = {"path": str(site.root), "mounted": storage.point, "fstype": storage.fstype}
        data = {"sbatch": shutil.which("sbatch"), "version": version, "run_root": root, "remarks": said}
        terminal.say(to_json(Result("check", "passed", 0, None, data, warnings=notices)))
    else:
        terminal.say(
            sentences.Sentence("slurm", f"{version} at {shutil.which('sbatch')}"),
            sentences.Sentence("files", f"{site.root} on {storage.fstype or 'a file system of unknown type'}"),
            *(sentences.Sentence("queue", line) for line in said),
        )
    print_problems([], notices)
    return ExitCode.SUCCEEDED


def _local(site: Site, storage: run_root.Storage) -> Problem:
    message = f"{site.root} is on {storage.fstype or 'a file system of unknown type'}, which nodes may not see"
    return Problem("RUN_ROOT_LOCAL", message, remedy="leave out --dry-run to have nodes read it")
