# SPDX-License-Identifier: Apache-2.0
"""A launch in a Kubernetes cluster, or an attachment to one: the session of a run that is followed through its pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import QUEUED
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from madctl.jobs import kubernetes
from madctl.jobs.reading import Reading
from madctl.nodes import inventory
from madctl.nodes.inventory import Targets
from madctl.playbook import EventListener, TaskListener
from madctl.playbook.in_cluster import InCluster
from madctl.playbook.job_session import with_plan
from madctl.playbook.session import RunSession
from madctl.records import record_store
from madctl.records.run_record import Record
from madctl.result import to_problem
from madctl.screen.view import View


class ClusterSession(RunSession):
    """The session of a run in pods; it has no nodes until all pods run."""

    def __init__(
        self,
        record: Record,
        view: View,
        cluster: Cluster | None = None,
        follow: bool = True,
        reading: Reading | None = None,
        caught_up: Callable[[], None] | None = None,
        stuck_seconds: float | None = None,
        noted: Sequence[int] = (),
    ) -> None:
        """
        Prepare.

        Args:
            cluster: The cluster of the run; by default, the one in its record.
            follow: Whether to wait for the end of the run.
            reading: Which output is wanted; by default all.
            caught_up: Called once everything is read that was written before.
            stuck_seconds: How long a pod may be unable to start before the run is given up; None for no limit.
            noted: Signals that arrived before this session could handle them.
        """
        super().__init__(record.reach(), {}, view, record)
        self._attached, self._noted, self._is_unknown = False, noted, False
        self._cluster = cluster or kubernetes.reach(record.job or {})
        self._follow, self._reading, self._caught_up, self._stuck = follow, reading, caught_up, stuck_seconds

    def player(self, on_task: TaskListener, on_event: EventListener) -> InCluster:
        """Return the follower of the run."""
        assert self.record is not None
        return InCluster(
            on_task,
            on_event,
            self._cluster,
            self.record.run_id,
            self.view.progress,
            self._reading,
            follow=self._follow,
            read_only=self.only_reads,
            caught_up=self._caught_up,
            stuck_seconds=self._stuck,
        )

    def _play(self) -> None:
        for number in self._noted:
            self.on_signal(number, None)
        super()._play()

    def on_task(self, action: str, host: str, result: dict[str, Any]) -> None:
        """Take the result, unless the state of the run is unknown: the run may continue."""
        if result.get("is_unknown"):
            self._is_unknown = True
            self.view.errors = [to_problem(entry) for entry in result["problems"]]
            self.failure = self.view.errors[0].message
        else:
            super().on_task(action, host, result)

    def remember(self, record: Record) -> None:
        """Record what is known about the run."""
        if not self._is_unknown:
            super().remember(record)

    @property
    def detached(self) -> bool:
        """Whether the run continues, or still waits, without this session."""
        return bool(self.final and self.final.get("detached"))

    def planned(self, without_ifconfig: list[str]) -> None:
        """Record the nodes, which are known now."""
        if self.plan and self.record and not self.only_reads:
            self.remember(with_plan(self.record, self.plan, self.record.attempts))
        self.view.planned(self.plan, without_ifconfig)

    def restarted(self, record: Record, plan: dict[str, Any]) -> None:
        """Record the nodes; logs that are read again from their first line repeat the same restarts."""
        if not self.only_reads:
            self.remember(with_plan(record, plan, 1))


def record_of(arguments: Mapping[str, Any], nodes: int, job: dict[str, Any]) -> Record:
    """
    Make the record of a run whose job is about to be created.

    Args:
        arguments: The arguments of the launch.
        job: ``kubeconfig``, ``context`` and ``namespace``.
    """
    run_id = str(arguments["run_id"])
    plan = {"run_id": run_id, "shape": arguments["shape"], "nnodes": nodes, "world_size": 0, "nodes": []}
    none = Targets((), inventory.of_group({}, {}))
    name, note = arguments.get("name"), arguments.get("note")
    created = record_store.create(plan, none, arguments["work"], name=name, note=note)
    return replace(created, status=QUEUED, job={"on": "k8s", "id": pods.name(run_id), **job})
