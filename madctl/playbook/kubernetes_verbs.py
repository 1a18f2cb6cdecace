# SPDX-License-Identifier: Apache-2.0
"""Commands about a run in a cluster of Kubernetes: its job, its pods and their logs tell."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import STOP_SECONDS
from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import state
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.standing import Standing as Look
from ansible_collections.madctl.multinode.plugins.module_utils._show import verdict_text
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen, narrowed
from madctl.errors import ExitCode, MadctlError, Problem, RunError, refused
from madctl.jobs import kubernetes
from madctl.jobs.reading import Reading
from madctl.jobs.standing import Standing
from madctl.playbook.job_session import with_plan
from madctl.playbook.job_verbs import since
from madctl.playbook.kubernetes_session import ClusterSession
from madctl.playbook.report import report_run
from madctl.runs import record_store, verdicts
from madctl.runs.run_record import Record
from madctl.screen.log_view import Form, LogView
from madctl.screen.problems import print_answer
from madctl.screen.view import View

_LOOK_SECONDS = 0.3
# After the ranks' time to end: for the order to reach the pod, for records, and for the end of the pods.
_MORE_SECONDS, _FORCED_SECONDS, _DELETE_SECONDS = 90.0, 20.0, 120.0


def stands(record: Record) -> tuple[Standing, Record]:
    """Find out how a run stands; return that, and the record with its plan."""
    record = planned(record)
    return kubernetes.of(record.job or {}, record.run_id, record.plan), record


def planned(record: Record) -> Record:
    """Return the record of a run with its plan, if there is one yet, and it can be read."""
    if record.plan["nodes"]:
        return record
    try:
        cluster = kubernetes.reach(record.job or {})
        first = kubernetes.look(cluster, record.run_id).first_pod
        found = kubernetes.plan(cluster, first) if first else None
    except MadctlError:
        return record  # Whoever asks for more learns why.
    return with_plan(record, found, record.attempts) if found else record


# -- stop ------------------------------------------------------------------------------------------


class _Stop:
    """Ends one run, with proof."""

    def __init__(self, record: Record, force: bool) -> None:
        self._record, self._force = record, force
        self._cluster: Cluster = kubernetes.reach(record.job or {})
        self.had_ended = self.begun = self.deleted = False

    def run(self) -> list[Problem]:
        """Stop it, and return why it cannot be proven that nothing is left."""
        found = self._look()
        if found.job is None and not found.pods:
            # What the cluster does not delete with a job may be left of it.
            kubernetes.delete(self._cluster, self._record.run_id)
            self.deleted = self.had_ended = True
            return []
        self.begun = bool(found.first_pod)
        if _is_left(found) is None:
            self.had_ended = True
            return []
        if found.first_pod and not state.is_over(found.job):
            self._tell(found, "kill" if self._force else "stop")
            seconds = _FORCED_SECONDS if self._force else STOP_SECONDS + _MORE_SECONDS
            if self._wait(lambda seen: _is_left(seen) is None, seconds):
                return []
        self.deleted = kubernetes.delete(self._cluster, self._record.run_id) or True
        if self._wait(lambda seen: seen.job is None and not seen.pods, _DELETE_SECONDS):
            return []
        left = _is_left(self._look()) or "its objects are not deleted yet"
        return [Problem("STOP_UNVERIFIED", left, remedy="stop the run again; or ask who operates the cluster")]

    def _look(self) -> Look:
        return kubernetes.look(self._cluster, self._record.run_id)

    def _tell(self, found: Look, order: str) -> None:
        try:
            kubernetes.tell(self._cluster, found.first_pod, order)
        except MadctlError as error:
            if isinstance(error, RunError):
                raise
            # Its pod may have ended this moment; what the cluster then says is looked at.
            if _is_left(self._look()) is not None:
                raise

    def _wait(self, is_reached: Callable[[Look], bool], seconds: float) -> bool:
        """Look, ever more seldom, whether something is reached; a server that does not answer is asked again."""
        deadline, pause = time.monotonic() + seconds, _LOOK_SECONDS
        while True:
            try:
                if is_reached(self._look()):
                    return True
            except RunError:
                if time.monotonic() >= deadline:
                    raise
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause)
            pause = min(2.0, pause * 1.5)


def _is_left(found: Look) -> str | None:
    """Return what of a run still runs, for all the cluster knows; None once all of it has ended."""
    alive = [pod for pod in found.pods if state.container(pod).state != "terminated"]
    if alive:
        where = state.node(alive[0])
        more = f" and {len(alive) - 1} more" if len(alive) > 1 else ""
        return f"pod {state.name(alive[0])}{f' on {where}' if where else ''}{more} has not ended"
    return None if state.is_over(found.job) else f"job {state.name(found.job or {})} has not ended"


def stop(record: Record, options: argparse.Namespace) -> int:
    """Return 0 only when the cluster says that all pods of the run have ended, or are gone; otherwise 9."""
    record = planned(record)
    order = _Stop(record, bool(options.force))
    try:
        problems = order.run()
    except RunError as error:
        remedy = f"stop it again later: madctl stop {record.run_id}"
        problems = [Problem(each.code, each.message, remedy=remedy) for each in error.problems]
    now, judged, notices = time.time(), verdicts.remembered(record), []
    if not problems and not verdicts.has_ended(record):
        judged = kubernetes.of(record.job or {}, record.run_id, record.plan).verdict
        if judged.status in (*verdict.GOING, verdict.UNKNOWN):
            # The proof that nothing is left is enough.
            judged = verdict.Verdict(verdict.STOPPED, ended=now, exit_code=int(ExitCode.INTERRUPTED))
        record, unsaved = record_store.update(verdicts.updated(record, judged, now))
        notices = [unsaved] if unsaved else []
    about = verdicts.described(record, judged, now)
    lines = [] if problems else [f"run {record.run_id}: {_how(order, record)}"]
    if not problems and judged.status != verdict.STOPPED:
        lines.append(f"it had ended before: {verdict_text.whole(about)}")
    hosts = [] if problems else [node["host"] for node in record.plan["nodes"]]
    data = {"stopped": hosts, "run": about}
    return print_answer(options, record.run_id, data, lines, problems, notices, good="stopped")


def _how(order: _Stop, record: Record) -> str:
    job = record.job["id"] if record.job else ""
    if order.had_ended and order.deleted:
        return "nothing of it is in the cluster"
    if order.deleted:
        return f"job {job} was deleted{'' if order.begun else ' before it began'}, nothing is left"
    return f"all pods of job {job} have ended, nothing is left"


# -- output ----------------------------------------------------------------------------------------


def attach(record: Record, options: argparse.Namespace, chosen: Chosen) -> int:
    """Show a run from its first line, or since a time, follow it, and return its exit code."""
    view = View((), as_json=options.output == "json", stages=(), chosen=chosen)
    session = ClusterSession(record, view, reading=Reading(since(options)))
    session.run()
    return report_run(session, "attach", options.output == "json")


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
