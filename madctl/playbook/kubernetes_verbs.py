# SPDX-License-Identifier: Apache-2.0
"""Commands about a run in a Kubernetes cluster, which use its job, its pods and their logs."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.ending import Ended
from ansible_collections.madctl.multinode.plugins.module_utils._show import verdict_text
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen, narrowed
from madctl.errors import ExitCode, MadctlError, Problem, RunError, refused
from madctl.jobs import kubernetes
from madctl.jobs.reading import Reading
from madctl.jobs.standing import Standing
from madctl.playbook.job_session import with_plan
from madctl.playbook.job_verbs import since
from madctl.playbook.kubernetes_session import ClusterSession
from madctl.records import record_store, verdicts
from madctl.records.run_record import Record
from madctl.result import Answer, answer, to_problem
from madctl.screen.log_view import Form, LogView
from madctl.screen.view import View


def stands(record: Record) -> tuple[Standing, Record]:
    """Determine the state of a run; return it, and the record with the plan."""
    record = planned(record)
    return kubernetes.of(record.job or {}, record.run_id, record.plan), record


def planned(record: Record) -> Record:
    """Return the record of a run with its plan, if there is one that can be read."""
    if record.plan["nodes"]:
        return record
    try:
        cluster = kubernetes.reach(record.job or {})
        first = kubernetes.look(cluster, record.run_id).first_pod
        found = kubernetes.plan(cluster, first) if first else None
    except MadctlError:
        return record  # A later query reports why.
    return with_plan(record, found, record.attempts) if found else record


# -- stop ------------------------------------------------------------------------------------------


def stop(record: Record, is_forced: bool) -> Answer:
    """Stop a run; report no problem only if the cluster says that all of its pods have ended, or are gone."""
    record = planned(record)
    done, problems = Ended(False), []
    try:
        done = kubernetes.stop(kubernetes.reach(record.job or {}), record.run_id, is_forced)
        problems = [to_problem(dict(done.problem))] if done.problem else []
    except RunError as error:
        remedy = f"stop it again later: madctl stop {record.run_id}"
        problems = [Problem(each.code, each.message, remedy=remedy) for each in error.problems]
    now, judged, notices = time.time(), verdicts.remembered(record), []
    if not problems and not verdicts.has_ended(record):
        judged = kubernetes.of(record.job or {}, record.run_id, record.plan).verdict
        if judged.status in (*verdict.GOING, verdict.UNKNOWN):
            # It is enough to know that nothing is left.
            judged = verdict.Verdict(verdict.STOPPED, ended=now, exit_code=int(ExitCode.INTERRUPTED))
        record, unsaved = record_store.update(verdicts.updated(record, judged, now))
        notices = [unsaved] if unsaved else []
    about = verdicts.described(record, judged, now)
    lines = [] if problems else [f"run {record.run_id}: {_how(done, record)}"]
    if not problems and judged.status != verdict.STOPPED:
        lines.append(f"it had ended before: {verdict_text.whole(about)}")
    hosts = [] if problems else [node["host"] for node in record.plan["nodes"]]
    data = {"stopped": hosts, "run": about}
    return answer("stop", record.run_id, data, lines, problems, notices, good="stopped")


def _how(done: Ended, record: Record) -> str:
    job = record.job["id"] if record.job else ""
    if done.had_ended and done.deleted:
        return "it is not in the cluster"
    if done.deleted:
        return f"job {job} was deleted{'' if done.begun else ' before it began'}, nothing is left"
    return f"all pods of job {job} have ended, nothing is left"


# -- output ----------------------------------------------------------------------------------------


def follower(record: Record, options: argparse.Namespace, view: View) -> ClusterSession:
    """Return the session that shows a run from its first line, or from a time on, and follows it."""
    return ClusterSession(record, view, reading=Reading(since(options)))


def reader(record: Record, options: argparse.Namespace, form: Form, chosen: Chosen) -> ClusterSession:
    """
    Return the session of ``madctl logs``.

    Raises:
        UsageError: If there is nothing to read.
    """
    if options.attempt:
        raise refused("USAGE", "--attempt is for runs in jobs of Slurm")
    cluster = kubernetes.reach(record.job or {})
    found = kubernetes.look(cluster, record.run_id)
    if not found.pods and found.job is None:
        raise refused("RUN_UNKNOWN", f"the pods of run {record.run_id} are gone, and their logs with them")
    plan: Any = record.plan
    view = LogView([node["host"] for node in plan["nodes"]], narrowed(chosen, plan), form, chosen)
    reading = Reading(since(options), options.lines)
    return ClusterSession(record, view, cluster, options.follow, reading, view.show_merged)
