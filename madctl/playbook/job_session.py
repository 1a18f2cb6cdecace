# SPDX-License-Identifier: Apache-2.0
"""A launch inside of a scheduler's job, or an attachment to one: the session of a run that is followed by its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from ansible_collections.madctl.multinode.plugins.module_utils._show.plan_text import outline
from madctl.nodes import inventory
from madctl.nodes.inventory import Targets
from madctl.playbook import EventListener, TaskListener
from madctl.playbook.in_job import InJob
from madctl.playbook.session import RunSession
from madctl.runs import record_store
from madctl.runs.run_record import Record
from madctl.screen.view import View


class JobSession(RunSession):
    """The nodes are known only when the job runs; until then there are none."""

    def __init__(self, record: Record, view: View, follow: bool = True, hosts: Sequence[str] = ()) -> None:
        """
        Prepare.

        Args:
            follow: Whether to wait for the end of the run.
            hosts: The only nodes whose output is wanted, if any.
        """
        super().__init__(record.reach(), {}, view, record)
        self._attached = False
        self._follow, self._hosts = follow, hosts

    def player(self, on_task: TaskListener, on_event: EventListener) -> InJob:
        """Return what follows the run."""
        assert self.record is not None and self.record.job is not None
        return InJob(on_task, on_event, self.record.job, self.view.progress, self._follow, self.only_reads)

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Process an event, unless it is of a node that is not wanted."""
        if not self._hosts or event.get("host") in (None, *self._hosts):
            super().on_event(event, payload)

    @property
    def detached(self) -> bool:
        """Whether the run continues, or still waits, without this session."""
        return bool(self.final and self.final.get("detached"))

    def planned(self, without_ifconfig: list[str]) -> None:
        """Remember the nodes, which are known now."""
        if self.plan and self.record and not self.only_reads:
            self.remember(replace(self.record, plan=outline(self.plan), targets=_targets(self.plan)))
        self.view.planned(self.plan, without_ifconfig)


def _targets(plan: dict[str, Any]) -> dict[str, Any]:
    names = [node["host"] for node in plan["nodes"]]
    return {"names": names, "inventory": inventory.build(list(map(Host, names)), None, None, ""), "sources": []}


def record_of(run_id: str, work: list[Any], shape: str, nodes: int, job: dict[str, Any]) -> Record:
    """Make the record of a run whose job was submitted: where it is, and no nodes yet."""
    plan = {"run_id": run_id, "shape": shape, "nnodes": nodes, "world_size": 0, "nodes": []}
    none = Targets((), inventory.of_group({}, {}))
    return replace(record_store.create(plan, none, work), job=job)
