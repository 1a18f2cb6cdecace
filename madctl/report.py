# SPDX-License-Identifier: Apache-2.0
"""Sum up a launch: its exit code, its JSON, its last lines on the screen."""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._codes import UNREACHABLE
from madctl.errors import ExitCode, Problem
from madctl.result import Result, to_json


def report(session: Any, failure: str | None) -> int:
    """Print how the launch ended and return its exit code."""
    view, plan, final = session.view, session.plan, session.final
    code = _exit_code(session)
    if code == ExitCode.INTERNAL and not view.errors:
        reason = (failure or "Ansible ended without a result").splitlines()[-1]
        view.errors.append(Problem("INTERNAL", reason, remedy="run the playbook with ansible-playbook -vv to see more"))
    data = _data(plan, final) if plan else None
    status = _status(code, session.options.dry_run)
    view.finish(status, data, final is not None)
    if session.options.output == "json":
        run_id = plan["run_id"] if plan else None
        print(to_json(Result("launch", status, code, run_id, data, view.errors, view.warnings)))
    elif session.options.dry_run and data:
        view.show_plan(data)
    return code


def _exit_code(session: Any) -> int:
    if session.final is not None:
        code = int(session.final.get("exit_code", ExitCode.INTERNAL))
        return 128 + session.signal if code == ExitCode.INTERRUPTED and session.interrupts else code
    if session.interrupts:
        return 128 + int(session.signal)
    if session.plan is not None:
        return ExitCode.SUCCEEDED if session.options.dry_run else ExitCode.INTERNAL
    if not session.view.errors:
        return ExitCode.INTERNAL
    unreachable = any(problem.code in UNREACHABLE for problem in session.view.errors)
    return ExitCode.UNREACHABLE if unreachable else ExitCode.CHECK_FAILED


def _status(code: int, dry_run: bool) -> str:
    if code == ExitCode.SUCCEEDED:
        return "planned" if dry_run else "succeeded"
    return "interrupted" if code > 128 else "failed"


def _data(plan: dict[str, Any], final: dict[str, Any] | None) -> dict[str, Any]:
    """Join the plan with how it ended; command lines and environments are the plan's own business."""
    data = {key: plan[key] for key in ("runner", "master_addr", "master_port", "nnodes", "world_size")}
    if final is None:
        return {**data, "nodes": plan["nodes"]}
    return {**data, **final.get("summary", {})}
