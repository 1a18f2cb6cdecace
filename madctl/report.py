# SPDX-License-Identifier: Apache-2.0
"""Sum up a check or a launch: its exit code, its JSON, its last lines on the screen."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils import _table
from madctl.errors import ExitCode, Problem
from madctl.result import Result, to_json
from madctl.session import Session
from madctl.view import fold, print_problems, show_plan


def report_check(session: Session, options: argparse.Namespace) -> int:
    """Print the table of nodes and checks, then what it means."""
    view, verdict = session.view, session.verdict
    if session.interrupts:
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
        print_problems(view.errors, view.warnings)
        print(to_json(Result("check", status, code, None, data, view.errors, view.warnings)))
        return code
    if checks:
        print("\n".join(_table.lines(checks, fold)))
    if options.explain and candidates:
        print("\n" + "\n".join(_table.network_lines(candidates)))
    sys.stdout.flush()
    print_problems(view.errors, view.warnings, blank=bool(checks))
    return code


def report_launch(session: Any, options: argparse.Namespace) -> int:
    """Print how the launch ended and return its exit code."""
    view, plan, final = session.view, session.plan, session.final
    code = _launch_code(session, options.dry_run)
    data = _data(plan, final) if plan else None
    status = _status(code, "planned" if options.dry_run else "succeeded")
    started = final is not None and final.get("summary", {}).get("start_spread_seconds") is not None
    view.finish(status, data, started)
    if options.output == "json":
        run_id = plan["run_id"] if plan else None
        print(to_json(Result("launch", status, code, run_id, data, view.errors, view.warnings)))
    elif options.dry_run and data:
        show_plan(data)
    return code


def _launch_code(session: Any, dry_run: bool) -> int:
    if session.final is not None:
        code = int(session.final.get("exit_code", ExitCode.INTERNAL))
        interrupted = code == ExitCode.INTERRUPTED and session.interrupts
        return 128 + int(session.signal) if interrupted else int(code)
    if session.interrupts:
        return 128 + int(session.signal)
    if session.view.errors:
        return int(session.check_code())
    return ExitCode.SUCCEEDED if dry_run and session.plan else _internal(session)


def _internal(session: Session) -> int:
    reason = (session.failure or "Ansible ended without a result").splitlines()[-1]
    remedy = "run the playbook with ansible-playbook -vv to see more"
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
    return {**data, **final.get("summary", {})}
