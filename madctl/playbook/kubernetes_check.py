# SPDX-License-Identifier: Apache-2.0
"""Check nodes in a short Kubernetes job, which leaves nothing behind."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import manifests
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from madctl.errors import MadctlError
from madctl.jobs import kubernetes
from madctl.jobs.kubernetes_draft import Draft
from madctl.nodes import inventory
from madctl.nodes.inventory import Targets
from madctl.playbook import EventListener, TaskListener
from madctl.playbook.in_cluster import InCluster
from madctl.playbook.job_launch import signals_noted
from madctl.playbook.kubernetes_launch import reached
from madctl.playbook.report import report_check
from madctl.playbook.session import Session
from madctl.result import to_problem
from madctl.screen.problems import print_problems
from madctl.screen.view import View


class CheckSession(Session):
    """A check whose nodes are known once its pods run."""

    def __init__(self, cluster: Cluster, run_id: str, view: View, seconds: float, noted: Sequence[int]) -> None:
        """
        Prepare.

        Args:
            seconds: How long a pod may be unable to start before the check is given up.
            noted: Signals that arrived before this session could handle them.
        """
        super().__init__(Targets((), inventory.of_group({}, {})), {}, view)
        self._cluster, self._run_id, self._seconds, self._noted = cluster, run_id, seconds, noted

    def player(self, on_task: TaskListener, on_event: EventListener) -> InCluster:
        """Return the follower of the job."""
        tell = self.view.progress
        return InCluster(on_task, on_event, self._cluster, self._run_id, tell, stuck_seconds=self._seconds)

    def _play(self) -> None:
        for number in self._noted:
            self.on_signal(number, None)
        super()._play()

    def on_task(self, action: str, host: str, result: dict[str, Any]) -> None:
        """Take the result, unless the user has stopped waiting for it."""
        del action, host
        if not result.get("detached"):
            self.verdict = result
            self.view.judged([to_problem(entry) for entry in result.get("warning_list", [])])
            self.view.errors = [to_problem(entry) for entry in result.get("problems", [])]


def run(options: argparse.Namespace, drafted: Draft, hidden: tuple[str, ...]) -> int:
    """
    Check in pods, delete them, and return the exit code.

    Args:
        hidden: What must not be shown.
    """
    cluster = reached(drafted)
    # Until the session handles signals, they are only noted, so that the job is not abandoned.
    with signals_noted() as noted, opened(options, drafted, cluster, hidden, noted) as session:
        session.run()
        return report_check(session, options)


@contextmanager
def opened(
    options: argparse.Namespace, drafted: Draft, cluster: Cluster, hidden: tuple[str, ...], noted: Sequence[int]
) -> Iterator[CheckSession]:
    """Create the pods of a check, and delete them when its session is no longer needed; see ``run``."""
    run_id = drafted.parcel.run_id
    kubernetes.create(cluster, drafted.objects())
    try:
        view = View((), as_json=options.output == "json", stages=(), secrets=hidden)
        if options.notice:
            view.notice(options.notice)
        view.progress("queue", f"created job madctl-{run_id} in namespace {cluster.namespace}")
        yield CheckSession(cluster, run_id, view, manifests.agents_seconds(drafted.asked), noted)
    finally:
        try:
            kubernetes.delete(cluster, run_id)
        except MadctlError as error:
            print_problems([], list(error.problems))
