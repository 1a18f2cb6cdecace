# SPDX-License-Identifier: Apache-2.0
"""Sum up a check or a launch: its exit code, its JSON, its last lines on the screen."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils import _table
from madctl.errors import ExitCode, Problem
from madctl.planned import show_plan
from madctl.result import Result, to_json
from madctl.session import RunSession, Session
from madctl.view import fold, print_problems


def report_check(session: Session, options: argparse.Namespace) -> int:
    """Print the table of nodes and checks, then what it means."""
    view, verdict = session.view, session.verdict
    if session.interrupted:
        view.errors = [Problem("INTERRUPTED", "interrupted")]
        code = 128 + int(session.signal)
    elif verdict is None:
        code = _internal(session)
    else:
        code = session.check_code() if view.errors else ExitCode.SUCCEEDED
    status = _status(code, "passed")
    checks = verdict.get("checks", {}) if verdict else {}
    candidates = verdict.get("candidates", {}) if verdict else {}
    view.close()
    if options.output == "json":
        prints = session.judged.get("fingerprints", {}) if session.judged else {}
        nodes = [
            {"host": host, "checks": row, "addresses": candidates.get(host, []), "fingerprint": prints.get(host)}
            for host, row in checks.items()
        ]
        data = {"nodes": nodes} if nodes else None
        print_problems(view.masked(view.errors), view.masked(view.warnings))
        print(to_json(view.masked(Result("check", status, code, None, data, view.errors, view.warnings))))
        return code
    if checks:
        print("\n".join(_table.lines(checks, fold)))
    if options.explain and candidates:
        print("\n" + "\n".join(_table.network_lines(candidates)))
    sys.stdout.flush()
    print_problems(view.masked(view.errors), view.masked(view.warnings), blank=bool(checks))
    return code


def report_run(session: RunSession, command: str, as_json: bool, dry_run: bool = False) -> int:
    """Print how a run ended, or that it goes on, remember it, and return the exit code."""
    from madctl import models, rundir

    view, plan, final = session.view, session.plan, session.final
    code = _run_code(session, dry_run)
    data = _data(plan, final) if plan else None
    status = "running" if session.detached else _status(code, "planned" if dry_run else "succeeded")
    # Where Ansible died in the middle, nobody here knows how the run ends.
    if session.record and not (session.final is None and code == ExitCode.INTERNAL):
        rundir.finish(session.record, status, code)
    if session.detached:
        view.goes_on(session.final["run_id"] if session.final else "")
    else:
        view.finish(status, data, session.started, _error_text(final))
    if plan and data and not dry_run and models.merge(rundir.results(plan["run_id"]), data["nodes"]):
        view.results(models.lines(data["nodes"]), str(rundir.results(plan["run_id"])))
    if as_json:
        run_id = plan["run_id"] if plan else None
        print(to_json(view.masked(Result(command, status, code, run_id, data, view.errors, view.warnings))))
    elif dry_run and data:
        show_plan(view.masked(data))
    return code


def _run_code(session: RunSession, dry_run: bool) -> int:
    signalled = 128 + int(session.signal)
    if session.detached:
        return signalled if session.interrupted else ExitCode.SUCCEEDED
    if session.final is not None and not session.final.get("detached"):
        code = int(session.final.get("exit_code", ExitCode.INTERNAL))
        return signalled if code == ExitCode.INTERRUPTED and session.interrupted else code
    if session.interrupted:
        return signalled
    if session.view.errors:
        return int(session.check_code())
    return ExitCode.SUCCEEDED if dry_run and session.plan else _internal(session)


def _error_text(final: dict[str, Any] | None) -> str:
    """Give what the rank that failed first left in its error file."""
    problems = final.get("problems") if final else None
    return str(problems[0].get("error") or "") if problems else ""


def _internal(session: Session) -> int:
    reason = (session.failure or "Ansible ended without a result").splitlines()[-1]
    remedy = "run the playbook with ansible-playbook -vv to see more"
    if isinstance(session, RunSession) and session.record:
        run_id = session.record.run_id
        remedy = f"the run may go on: madctl status {run_id}, madctl stop {run_id}"
    session.view.errors.append(Problem("INTERNAL", reason, remedy=remedy))
    return ExitCode.INTERNAL


def _status(code: int, good: str) -> str:
    if code == ExitCode.SUCCEEDED:
        return good
    return "interrupted" if code > 128 else "failed"


def _data(plan: dict[str, Any], final: dict[str, Any] | None) -> dict[str, Any]:
    """Join the plan with how it ended; command lines and environments are the plan's own business."""
    data = {key: plan[key] for key in ("runner", "master_addr", "master_port", "nnodes", "world_size")}
    if final is None:
        return {**data, "nodes": plan["nodes"]}
    return {**data, **final.get("summary", {}), "restarts": final.get("restarts", [])}
