# SPDX-License-Identifier: Apache-2.0
"""The end of a check or a launch: its exit code, its JSON, its last lines on the screen."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any, cast

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import FAILED, QUEUED, RUNNING, STOPPED
from ansible_collections.madctl.multinode.plugins.module_utils._show import check_table, plan_text
from madctl.after import wishes
from madctl.after.wishes import Wishes
from madctl.errors import ExitCode, Problem, of_signal
from madctl.playbook.session import RunSession, Session
from madctl.records import record_store, verdicts
from madctl.records.run_record import Record
from madctl.result import Result, to_json
from madctl.screen import models, terminal
from madctl.screen.lines import one_line
from madctl.screen.problems import print_problems
from madctl.screen.view import View


def report_check(session: Session, options: argparse.Namespace) -> int:
    """Print the table of nodes and checks, then problems; return the exit code."""
    result, verdict = check_result(session), session.verdict or {}
    checks, candidates = verdict.get("checks", {}), verdict.get("candidates", {})
    if options.output == "json":
        terminal.say(to_json(result))
    elif checks:
        table = check_table.lines(checks, terminal.OUT.width(), terminal.OUT.has_colours())
        # Its cells are known to be harmless, and may be coloured.
        terminal.OUT.write("".join(f"{line}\n" for line in table))
        if options.explain and candidates:
            terminal.say("", *check_table.network_lines(candidates))
    print_problems(result.errors, result.warnings, bool(checks) and options.output != "json")
    return result.exit_code


def check_result(session: Session) -> Result:
    """Return the result of a check."""
    view, verdict = session.view, session.verdict
    broken = own_failure(session)
    code: int
    if session.interrupted:
        view.errors = [Problem("INTERRUPTED", "interrupted")]
        code = of_signal(session.signal)
    elif verdict is None:
        code = _internal(session)
    else:
        code = session.check_code() if view.errors else ExitCode.SUCCEEDED
    view.errors += broken
    code = code or (ExitCode.INTERNAL if broken else code)
    verdict = verdict or {}
    candidates, prints = verdict.get("candidates", {}), verdict.get("fingerprints", {})
    view.close()
    nodes = [
        {"host": host, "checks": row, "addresses": candidates.get(host, []), "fingerprint": prints.get(host)}
        for host, row in verdict.get("checks", {}).items()
    ]
    data = {"nodes": nodes} if nodes else None
    result = Result("check", _status(code, "passed"), code, None, data, view.errors, view.warnings)
    return cast(Result, view.masked(result))


def report_run(
    session: RunSession, command: str, as_json: bool, dry_run: bool = False, wanted: Wishes = wishes.NONE
) -> int:
    """
    Print how a run ended, or that it continues, record that, and return the exit code.

    Args:
        wanted: What the user requested for the end of the run.
    """
    result = run_result(session, command, dry_run)
    undone = [] if dry_run else _after(session, result, wanted)
    if as_json:
        terminal.say(to_json(replace(result, warnings=[*result.warnings, *undone])))
    elif dry_run and result.data:
        terminal.say(*plan_text.whole(result.data, {}))
    return result.exit_code


def run_result(session: RunSession, command: str, dry_run: bool = False) -> Result:
    """Show how a run ended, or that it continues, record that, and return it."""
    view, plan, final = session.view, session.plan, session.final
    code = _run_code(session, dry_run)
    data = _data(session, plan) if plan else None
    ended = _left(session) if session.detached else _status(code, "planned" if dry_run else "succeeded")
    # If Ansible died in the middle, it is unknown how the run ends.
    # The record of an end that an earlier command saw is not changed.
    is_known = command == "attach" and session.record is not None and verdicts.has_ended(session.record)
    if session.record and not is_known and not (final is None and code == ExitCode.INTERNAL):
        session.remember(_ended(session, ended, code))
    broken = own_failure(session)
    view.errors += broken
    if session.detached:
        waits = session.record.job if session.record and ended == QUEUED else None
        view.still_running(final["run_id"] if final else "", session.is_forgotten, waits["id"] if waits else "")
        print_problems(view.masked(broken), [])
    else:
        view.finish(ended, data, session.started, _error_text(final), _logs(session))
    if plan and data and not dry_run:
        _results(view, plan, data, ended)
    code = code or (ExitCode.INTERNAL if broken else code)
    # A run that was refused before its plan may still have a job.
    run_id = plan["run_id"] if plan else session.record.run_id if session.record else None
    status = "failed" if broken and code == ExitCode.INTERNAL else ended
    return cast(Result, view.masked(Result(command, status, code, run_id, data, view.errors, view.warnings)))


def _after(session: RunSession, result: Result, wanted: Wishes) -> list[Problem]:
    """Do what was requested for the end, if this is the end; print and return what went wrong."""
    record = session.record
    if session.detached:
        found = wishes.not_yet(wanted, record.run_id if record else "")
    else:
        # If a check failed, there is no record yet.
        found = wishes.carry_out(wanted, result, record.name if record else session.wanted.get("madctl_name"))
    print_problems([], found)
    return found


def own_failure(session: Session) -> list[Problem]:
    """Return a problem if madctl itself failed on an event, so that it may not have shown everything."""
    if session.broken is None:
        return []
    message = f"some events could not be shown: {session.broken.message}"
    return [replace(session.broken, message=message)]


def _results(view: View, plan: dict[str, Any], data: dict[str, Any], ended: str) -> None:
    if runners.job_of(plan["shape"]).has_models and ended == "succeeded" and not models.ran(data["nodes"]):
        remedy = "see the output of madengine"
        view.notice(Problem("MODELS_SKIPPED", "madengine ran no model: all are skipped or deprecated", remedy=remedy))
    path = record_store.results(plan["run_id"])
    try:
        written = models.merge(path, data["nodes"])
    except OSError as error:
        view.results(models.lines(data["nodes"]), "")
        remedy = "see perf.csv in the run directory of each node"
        view.notice(
            Problem("RESULTS_UNWRITABLE", f"results could not be written to {path}: {reason(error)}", remedy=remedy)
        )
        return
    if written:
        view.results(models.lines(data["nodes"]), str(path))


def _run_code(session: RunSession, dry_run: bool) -> int:
    signalled = of_signal(session.signal)
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
    """Return the contents of the error file of the rank that failed first."""
    problems = final.get("problems") if final else None
    return str(problems[0].get("error") or "") if problems else ""


def _internal(session: Session) -> int:
    failure = session.failure or "Ansible ended without a result"
    reason = one_line(failure.splitlines()[-1].removeprefix("madctl: "))
    remedy = "run the playbook with ansible-playbook -vv for details"
    if isinstance(session, RunSession) and session.record:
        run_id = session.record.run_id
        remedy = f"the run may still be running; see madctl status {run_id} or stop it with madctl stop {run_id}"
    session.view.errors.append(Problem("INTERNAL", reason, remedy=remedy))
    return ExitCode.INTERNAL


def _left(session: RunSession) -> str:
    """Return the state of a run that continues without this session: a job may wait, and has no nodes yet."""
    return RUNNING if session.plan is None or session.plan["nodes"] else QUEUED


def _status(code: int, good: str) -> str:
    if code == ExitCode.SUCCEEDED:
        return good
    return "interrupted" if code > 128 else "failed"


def _ended(session: RunSession, status: str, code: int) -> Record:
    """Update the record of a run that ended, or that continues without this session."""
    record, final, now = session.record, session.final or {}, time.time()
    assert record is not None
    ended = final.get("ended", now)
    took = final.get("summary", {}).get("duration_seconds")
    began = record.began or (ended - took if took is not None else None)
    if session.detached:
        return replace(record, status=_left(session), exit_code=None, began=began, seen=now)
    first = next(iter(session.view.errors), None)
    if first is not None and first.code == "RUN_STOPPED":
        status = STOPPED
    cause = session.view.masked(codes.cause(vars(first))) if first and status == FAILED else None
    return replace(record, status=status, exit_code=int(code), began=began, ended=ended, cause=cause)


def _logs(session: RunSession) -> str:
    """Return the command that shows the output of whatever failed first."""
    if session.record is None:
        return ""
    first = next(iter(session.view.errors), None)
    rank = f" --rank {first.rank}" if first and first.rank is not None else ""
    host = f" --host {first.host}" if first and first.host and not rank else ""
    return f"madctl logs {session.record.run_id}{rank or host}"


def _data(session: RunSession, plan: dict[str, Any]) -> dict[str, Any]:
    """Join the plan with how the run ended, without command lines and environments."""
    final, record = session.final, session.record
    data = {key: plan.get(key) for key in ("runner", "master_addr", "master_port", "nnodes", "world_size")}
    if final is None or "summary" not in final:
        setup = {"setup": plan["setup"]} if plan.get("setup") else {}
        return {**data, **setup, "nodes": plan["nodes"]}
    restarts = final.get("restarts", [])
    found = {**data, **final.get("summary", {}), "restarts": restarts}
    found["attempts"] = max(len(restarts) + 1, record.attempts if record else 1)
    if record and record.began and record.attempts > 1 and "ended" in final:
        # The nodes of the last attempt do not know about earlier attempts.
        found["duration_seconds"] = round(max(0.0, final["ended"] - record.began), 3)
    return found
