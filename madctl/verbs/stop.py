# SPDX-License-Identifier: Apache-2.0
"""Stop runs, wherever they are, and verify that nothing of them is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import STOP_SECONDS
from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._show import verdict_text
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from madctl.errors import ExitCode, MadctlError, Problem, unexpected
from madctl.playbook import ask
from madctl.records import record_store, verdicts
from madctl.records.run_record import Record
from madctl.result import Answer, Result, answer
from madctl.screen import terminal

_FORCED_SECONDS = 0.0
_AT_ONCE = 8


def stop(record: Record, is_forced: bool = False) -> Answer:
    """
    Stop a run; report no error only if every node proved that nothing is left.

    Args:
        is_forced: Whether to kill immediately.

    Raises:
        MadctlError: If the nodes could not be contacted.
    """
    if record.job:
        from madctl.playbook import schedulers

        return schedulers.verbs(record).stop(record, is_forced)
    grace = _FORCED_SECONDS if is_forced else STOP_SECONDS
    wanted = {"madctl_run_id": record.plan["run_id"], "madctl_grace": grace, **record.base()}
    # If Ansible itself fails, that is an error of its own: the state of the nodes is unknown.
    found, record = ask.nodes_of_run("stop", record, wanted)
    reasons = {problem.host: problem.message for problem in found["problems"]}
    empty = [host for host in record.targets["names"] if found["nodes"].get(host, {}).get("left") == []]
    remedy = "stop the run again when the node is back"
    problems = [
        Problem("STOP_UNVERIFIED", reasons.get(host, "no answer"), host, remedy)
        for host in record.targets["names"]
        if host not in empty
    ]
    notices = []
    now, judged = time.time(), verdicts.remembered(record)
    if not problems and not verdicts.has_ended(record):
        # It may have ended, or failed, before it was stopped.
        asked, record = ask.nodes_of_run("status", record, {})
        judged = verdicts.judged(record, _without_killed(asked["nodes"], found["nodes"] if is_forced else {}))
        if judged.status in (verdict.RUNNING, verdict.UNKNOWN):
            # It is enough to know that nothing is left.
            judged = verdict.Verdict(verdict.STOPPED, ended=now, exit_code=int(ExitCode.INTERRUPTED))
        record, unsaved = record_store.update(verdicts.updated(record, judged, now))
        notices = [unsaved] if unsaved else []
    about = verdicts.described(record, judged, now)
    lines = [f"run {record.run_id}: nothing is left on {fold(empty)}"] if empty else []
    if not problems and judged.status != verdict.STOPPED:
        changed = any(node.get("changed") for node in found["nodes"].values())
        lines.append(f"{'before that, it' if changed else 'it had ended before:'} {verdict_text.whole(about)}")
    data = {"stopped": empty, "run": about}
    return answer("stop", record.run_id, data, lines, problems, notices, good="stopped")


def _without_killed(nodes: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out nodes that report only that they were killed, since this command has just killed them."""
    killed = {host for host, answer in told.items() if answer.get("changed")}
    silent = {host for host, node in nodes.items() if node["state"] == "lost" and not node.get("failure")}
    return {host: node for host, node in nodes.items() if host not in killed & silent}


def several(records: Sequence[Record], is_forced: bool = False) -> Iterator[Answer]:
    """Stop runs in parallel; yield an answer for each, in order, even if it could not be stopped."""
    slots, answers = threading.Semaphore(_AT_ONCE), {}

    def work(record: Record) -> None:
        with slots:
            answers[record.run_id] = _whatever_happens(record, is_forced)

    # Daemon threads, so that Ctrl-C ends the command without waiting for them.
    threads = [threading.Thread(target=work, args=(record,), daemon=True) for record in records]
    for thread in threads:
        thread.start()
    for record, thread in zip(records, threads, strict=True):
        thread.join()
        yield answers[record.run_id]


def _whatever_happens(record: Record, is_forced: bool) -> Answer:
    try:
        return stop(record, is_forced)
    except MadctlError as error:
        return Answer(Result("stop", "failed", error.exit_code, record.run_id, errors=error.problems), ())
    except Exception as error:  # noqa: BLE001  the other runs must still be reported
        terminal.trace(error)
        return Answer(Result("stop", "failed", ExitCode.INTERNAL, record.run_id, errors=[unexpected(error)]), ())
