# SPDX-License-Identifier: Apache-2.0
"""Create a run in a Kubernetes cluster, and follow it."""

from __future__ import annotations

import argparse
from dataclasses import replace

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import manifests
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from madctl.after import wishes
from madctl.errors import ExitCode, MadctlError, RunError, of_signal
from madctl.jobs import kubernetes, kubernetes_draft
from madctl.jobs.kubernetes_draft import Draft
from madctl.playbook.job_launch import Left, left, opened, signals_noted
from madctl.playbook.kubernetes_session import ClusterSession, record_of
from madctl.playbook.report import report_run
from madctl.records import record_store
from madctl.result import Result, to_json, to_problem
from madctl.screen import terminal


def run(options: argparse.Namespace, drafted: Draft, hidden: tuple[str, ...], shown: Chosen) -> int:
    """
    Create, follow to the end, and return the exit code of the run; with ``--detach``, return after creation.

    Args:
        hidden: What must not be shown.
        shown: Whose output is shown.
    """
    cluster = reached(drafted)
    record_store.prepare()
    # Until the session handles signals, they are only noted, so that the job is not abandoned.
    with signals_noted() as noted:
        found = create(options, drafted, cluster)
        if noted:
            cancel(found, cluster)
            return of_signal(noted[0])
        if options.detach:
            return left(found, options.output == "json")
        session = follower(found, cluster, options, drafted, hidden, shown, noted)
        session.run()
        return report_run(session, "launch", options.output == "json", wanted=wishes.of(options))


def reached(drafted: Draft) -> Cluster:
    """
    Return the cluster of a draft.

    Raises:
        MadctlError: If it is unknown.
    """
    return kubernetes.reach(
        {name: str(drafted.asked.get(f"k8s_{name}") or "") for name in ("kubeconfig", "context", "namespace")}
    )


def create(options: argparse.Namespace, drafted: Draft, cluster: Cluster) -> Left:
    """
    Create the objects of a run, and record it; see ``run``.

    Raises:
        MadctlError: If the cluster refuses, or cannot be reached.
    """
    asked = drafted.asked
    where = kubernetes.place(cluster, str(asked.get("k8s_kubeconfig") or ""))
    code = drafted.parcel.code
    record = record_of(asked, int(asked["nnodes"]), where)
    record = replace(record, typed=options.typed, code=code.about if code else None)
    unsaved = record_store.save(record) or record_store.save_diff(record.run_id, code.diff if code else b"")
    try:
        kubernetes.create(cluster, drafted.objects())
    except MadctlError as error:
        # The objects may have been created although the answer was lost; the record then leads to them.
        if not isinstance(error, RunError):
            record_store.forget(record)
        raise
    notices = [*([options.notice] if options.notice else []), *([unsaved] if unsaved else [])]
    notices += [to_problem(dict(found)) for found in code.warnings] if code else []
    return Left(record, tuple(notices))


def cancel(found: Left, cluster: Cluster) -> None:
    """Cancel a run that was just created."""
    kubernetes.delete(cluster, found.record.run_id)
    record_store.forget(found.record)


def follower(
    found: Left,
    cluster: Cluster,
    options: argparse.Namespace,
    drafted: Draft,
    hidden: tuple[str, ...],
    shown: Chosen,
    noted: list[int],
) -> ClusterSession:
    """Return the session that follows a run that was just created; see ``run``."""
    view, record = opened(found, options, hidden, shown), found.record
    job = record.job["id"] if record.job else ""
    view.progress("queue", f"created job {job} in namespace {cluster.namespace}")
    stuck = manifests.agents_seconds(drafted.asked)
    return ClusterSession(record, view, cluster, stuck_seconds=stuck, noted=noted)


def show(command: str, options: argparse.Namespace, drafted: Draft) -> int:
    """Print what would be created; this needs no cluster."""
    if options.output == "json":
        data = {"objects": drafted.objects(options.with_secret)}
        terminal.say(to_json(Result(command, "planned", 0, None, data)))
    else:
        terminal.OUT.write(kubernetes_draft.written(drafted, options.with_secret))
    return ExitCode.SUCCEEDED
