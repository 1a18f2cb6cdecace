# SPDX-License-Identifier: Apache-2.0
"""Create a run in a cluster of Kubernetes, and follow it."""

from __future__ import annotations

import argparse
from dataclasses import replace

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import manifests
from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from madctl.errors import ExitCode, MadctlError, RunError, of_signal
from madctl.jobs import kubernetes, kubernetes_draft
from madctl.jobs.kubernetes_draft import Draft
from madctl.playbook.job_launch import left, signals_noted
from madctl.playbook.kubernetes_session import ClusterSession, record_of
from madctl.playbook.report import report_run
from madctl.result import Result, to_json, to_problem
from madctl.runs import record_store
from madctl.screen import terminal
from madctl.screen.view import View


def run(options: argparse.Namespace, drafted: Draft, hidden: tuple[str, ...], shown: Chosen) -> int:
    """
    Create, follow to the end, and return the exit code of the run; with ``--detach`` return after the creation.

    Args:
        hidden: What must not be shown.
        shown: Whose output is shown.
    """
    asked = drafted.asked
    place = {name: str(asked.get(f"k8s_{name}") or "") for name in ("kubeconfig", "context", "namespace")}
    cluster = kubernetes.reach(place)
    record_store.prepare()
    # Until the session obeys signals, they are only noted: the job must not be left to itself.
    with signals_noted() as noted:
        record = record_of(asked, int(asked["nnodes"]), kubernetes.place(cluster, place["kubeconfig"]))
        code = drafted.parcel.code
        record = replace(record, code=code.about if code else None)
        unsaved = record_store.save(record) or record_store.save_diff(record.run_id, code.diff if code else b"")
        try:
            kubernetes.create(cluster, drafted.objects())
        except MadctlError as error:
            # What was not answered may have been created; then the record leads to it.
            if not isinstance(error, RunError):
                record_store.forget(record)
            raise
        if noted:
            kubernetes.delete(cluster, record.run_id)
            record_store.forget(record)
            return of_signal(noted[0])
        notices = [*([options.notice] if options.notice else []), *([unsaved] if unsaved else [])]
        notices += [to_problem(dict(found)) for found in code.warnings] if code else []
        if options.detach:
            return left(record, notices, options.output == "json")
        view = View((), as_json=options.output == "json", stages=(), secrets=hidden, chosen=shown)
        for notice in notices:
            view.notice(notice)
        view.called(record.run_id, record.name)
        if code:
            view.progress("code", sentences.code(code.about))
        job = record.job["id"] if record.job else ""
        view.progress("queue", f"created job {job} in namespace {cluster.namespace}")
        stuck = manifests.agents_seconds(asked)
        session = ClusterSession(record, view, cluster, stuck_seconds=stuck, noted=noted)
        session.run()
        return report_run(session, "launch", options.output == "json")


def show(command: str, options: argparse.Namespace, drafted: Draft) -> int:
    """Print what would be created, for which no cluster is needed."""
    if options.output == "json":
        data = {"objects": drafted.objects(options.with_secret)}
        terminal.say(to_json(Result(command, "planned", 0, None, data)))
    else:
        terminal.OUT.write(kubernetes_draft.written(drafted, options.with_secret))
    return ExitCode.SUCCEEDED
