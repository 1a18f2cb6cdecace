# SPDX-License-Identifier: Apache-2.0
"""A launch inside a scheduler's job, or an attachment to one: the session of a run followed through its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import QUEUED
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from ansible_collections.madctl.multinode.plugins.module_utils._show.plan_text import outline
from madctl.jobs import attempts
from madctl.jobs.reading import Reading
from madctl.nodes import inventory
from madctl.nodes.inventory import Targets
from madctl.playbook import EventListener, TaskListener
from madctl.playbook.in_job import InJob
from madctl.playbook.session import RunSession
from madctl.records import record_store
from madctl.records.run_record import Record, sound
from madctl.result import to_problem
from madctl.screen.view import View


class JobSession(RunSession):
    """The session of a run in a job; it has no nodes until the job runs."""

    def __init__(
        self,
        record: Record,
        view: View,
        follow: bool = True,
        reading: Reading | None = None,
        caught_up: Callable[[], None] | None = None,
        attempt: int | None = None,
        noted: Sequence[int] = (),
    ) -> None:
        """
        Prepare.

        Args:
            follow: Whether to wait for the end of the run.
            reading: Which output is wanted; by default all.
            caught_up: Called once everything is read that was written before.
            attempt: Read only this attempt of the job.
            noted: Signals that arrived before this session could handle them.
        """
        super().__init__(record.reach(), {}, view, record)
        self._attached, self._noted = False, noted
        self._follow, self._reading, self._caught_up, self._attempt = follow, reading, caught_up, attempt

    def player(self, on_task: TaskListener, on_event: EventListener) -> InJob:
        """Return the follower of the run."""
        assert self.record is not None and self.record.job is not None
        where, tell = self.record.job, self.view.progress
        how = (self._follow, self.only_reads, self._reading, self._caught_up, self._attempt)
        return InJob(on_task, on_event, where, tell, *how)

    def _play(self) -> None:
        for number in self._noted:
            self.on_signal(number, None)
        super()._play()

    @property
    def detached(self) -> bool:
        """Whether the run continues, or still waits, without this session."""
        return bool(self.final and self.final.get("detached"))

    def on_task(self, action: str, host: str, result: dict[str, Any]) -> None:
        """Process the end of the run, and report what the job could not write."""
        super().on_task(action, host, result)
        if result.get("trouble"):
            self.view.notice(to_problem(result["trouble"]))

    def planned(self, without_ifconfig: list[str]) -> None:
        """Record the nodes, which are known now."""
        if self.plan and self.record and not self.only_reads:
            self.remember(with_plan(self.record, self.plan, _attempts(self.record)))
        self.view.planned(self.plan, without_ifconfig)

    def restarted(self, record: Record, plan: dict[str, Any]) -> None:
        """Record the nodes; a story that is read again from its first byte repeats the same restarts."""
        if not self.only_reads:
            self.remember(with_plan(record, plan))


def _attempts(record: Record) -> int:
    return attempts.last(Path(record.job["place"])) + 1 if record.job else 1


def is_behind(record: Record) -> bool:
    """Return whether the job may have made a plan, or another one, since its record was written."""
    if not record.plan["nodes"] or record.job is None:
        return True
    where = Path(record.job["place"])
    is_restarted = (attempts.where(where, attempts.last(where)) / job_directory.PLAN).exists()
    return is_restarted or record.attempts < _attempts(record)


def with_plan(record: Record, plan: dict[str, Any], number: int | None = None) -> Record:
    """
    Return the record with the plan that the job made; unchanged if that plan is invalid.

    Args:
        number: How many attempts there have been; by default, they are counted now.
    """
    try:
        names = [node["host"] for node in plan["nodes"]]
        # A spare may replace one of them.
        group = inventory.build(list(map(Host, [*names, *plan.get("spares", [])])), None, None, "")
        targets = {"names": names, "inventory": group, "sources": []}
        count = max(record.attempts, (number or _attempts(record)) + plan.get("restarts", 0))
        return sound(replace(record, plan=outline(plan), targets=targets, attempts=count))
    except (KeyError, TypeError, ValueError, AttributeError):
        return record  # The job can also write to its directory, so its files may be invalid.


def record_of(arguments: dict[str, Any], nodes: int, job: dict[str, Any]) -> Record:
    """
    Make the record of a run whose job is being submitted: it has a job, but no nodes yet.

    Args:
        arguments: The arguments of the launch.
    """
    plan = {"run_id": arguments["run_id"], "shape": arguments["shape"], "nnodes": nodes, "world_size": 0, "nodes": []}
    none = Targets((), inventory.of_group({}, {}))
    name, note = arguments.get("name"), arguments.get("note")
    created = record_store.create(plan, none, arguments["work"], name=name, note=note)
    return replace(created, status=QUEUED, job=job)
