# SPDX-License-Identifier: Apache-2.0
"""Runs in jobs that are submitted on another machine, where the playbooks do the work."""

from __future__ import annotations

import argparse
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import UNKNOWN, Verdict
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen, narrowed
from madctl.after import wishes
from madctl.errors import ExitCode, Problem, RunError
from madctl.jobs.reading import Reading
from madctl.jobs.standing import Standing
from madctl.nodes.inventory import Targets
from madctl.playbook import job_launch
from madctl.playbook.engine import Engine
from madctl.playbook.job_session import with_plan
from madctl.playbook.job_verbs import since
from madctl.playbook.login_session import ACTION, INFO, LoginSession
from madctl.playbook.report import report_run
from madctl.records import record_store
from madctl.records.run_record import Record
from madctl.result import Answer, answer, to_problem
from madctl.screen.lines import one_line
from madctl.screen.log_view import Form, LogView
from madctl.screen.view import View

_GRACE_SECONDS = 45.0


def launch(
    options: argparse.Namespace, login: Targets, wanted: dict[str, Any], hidden: tuple[str, ...], shown: Chosen
) -> int:
    """
    Submit, follow to the end, and return the exit code of the run; with ``--detach``, return after submission.

    Args:
        login: The login node.
        wanted: The variables of the launch.
        hidden: What must not be shown.
        shown: Whose output is shown.
    """
    as_json = options.output == "json"
    session = submitter(options, login, wanted, hidden, shown)
    session.run()
    found = session.final or {}
    if found.get("judged") and not session.view.errors:
        return job_launch.show_test(found["argv"], found["script"], found["remarks"], as_json)
    if options.detach and session.detached and session.record and not session.interrupted:
        return job_launch.left(job_launch.Left(session.record, tuple(session.view.warnings)), as_json)
    return report_run(session, "launch", as_json, options.dry_run, wishes.of(options))


def submitter(
    options: argparse.Namespace, login: Targets, wanted: dict[str, Any], hidden: tuple[str, ...], shown: Chosen
) -> LoginSession:
    """Return the session that submits and follows; see ``launch``."""
    if not options.dry_run:
        record_store.prepare()
    view = View((), as_json=options.output == "json", stages=(), secrets=hidden, chosen=shown)
    if options.notice:
        view.notice(options.notice)
    session = LoginSession(login, wanted, view)
    session.typed = options.typed
    return session


def is_elsewhere(record: Record) -> bool:
    """Return whether a run is in a job whose files are on another machine."""
    return bool(record.job and record.job.get("login"))


def _at(record: Record) -> tuple[Targets, dict[str, Any]]:
    """Return how the login node of a run is reached, and the variables that name the run there."""
    assert record.job is not None
    login, (root, _, name) = record.job["login"], record.job["place"].rpartition("/")
    named = {"madctl_on": "slurm", "madctl_run_root": root, "madctl_run_id": name}
    conf = {"madctl_slurm_conf": record.job["conf"]} if record.job.get("conf") else {}
    return Targets(tuple(login["names"]), login["inventory"], tuple(login["sources"])), {**named, **conf}


def follower(record: Record, options: argparse.Namespace, view: View) -> LoginSession:
    """Return the session that shows a run from its first byte, and follows it."""
    del options
    login, named = _at(record)
    # The job is not submitted again, so its request is not needed.
    wanted = {**named, "madctl_slurm_nodes": max(1, int(record.plan["nnodes"])), "madctl_work": record.work}
    wanted["madctl_shape"] = record.plan["shape"]
    return LoginSession(login, wanted, view, record)


def stop(record: Record, is_forced: bool) -> Answer:
    """Stop a run; report no problem only if it has ended, and Slurm says that its job is over."""
    login, named = _at(record)
    found = _played("stop", ACTION, login, {**named, "madctl_grace": 0.0 if is_forced else _GRACE_SECONDS})
    problems = list(map(to_problem, found["problems"]))
    lines = [] if problems else [f"run {record.run_id}: job {found['job_id']} is over, nothing is left"]
    return answer("stop", record.run_id, {"job": record.shown_job}, lines, problems, [], good="stopped")


def stands(record: Record) -> tuple[Standing, Record]:
    """
    Determine the state of a run; return it, and the record with the plan.

    Raises:
        RunError: If Ansible ended without a result.
    """
    login, named = _at(record)
    found = _played("status", INFO, login, named)
    if found["problems"]:
        problem = to_problem(found["problems"][0])
        return Standing(Verdict(UNKNOWN, problem.message), {}, None, problem), record
    plan = found["plan"]
    if plan and not record.plan["nodes"]:
        record = with_plan(record, plan)
    known = {name: found[name] for name in ("status", "cause", "error", "began", "ended", "exit_code", "host", "rank")}
    return Standing(Verdict(**known), found["nodes"], plan), record


def planned(record: Record) -> Record:
    """Return the record of a run with its plan, if there is one yet."""
    return record if record.plan["nodes"] else stands(record)[1]


def reader(record: Record, options: argparse.Namespace, form: Form, chosen: Chosen) -> LoginSession:
    """Return the session of ``madctl logs``."""
    login, named = _at(record)
    plan: Any = record.plan
    view = LogView([node["host"] for node in plan["nodes"]], narrowed(chosen, plan), form, chosen)
    wanted = {**named, "madctl_follow": options.follow}
    reading = Reading(since(options), options.lines)
    return LoginSession(login, wanted, view, record, reading, view.show_merged)


def _played(playbook: str, action: str, login: Targets, variables: dict[str, Any]) -> dict[str, Any]:
    """
    Run a playbook on a login node, and return the result of its action.

    Raises:
        RunError: If there is no result.
    """
    found: dict[str, Any] = {}

    def on_task(name: str, _: str, result: dict[str, Any]) -> None:
        if name.endswith(action):
            found.update(result)

    with Engine(on_task, lambda *_: None) as engine:
        engine.run(playbook, login, variables)
        if "problems" not in found:
            cause = one_line(str(found.get("msg") or engine.failure or "no message").removeprefix("madctl: "))
            raise RunError(ExitCode.INTERNAL, Problem("INTERNAL", f"Ansible ended without a result: {cause}"))
    return found
