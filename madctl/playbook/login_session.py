# SPDX-License-Identifier: Apache-2.0
"""A launch in a job that a playbook submits on a login node, or an attachment to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import PREFIX
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import is_forged
from madctl.errors import Problem
from madctl.jobs.reading import Reading
from madctl.nodes.inventory import Targets
from madctl.playbook.job_session import record_of, with_plan
from madctl.playbook.session import RunSession
from madctl.records.run_record import Record
from madctl.screen.view import View

ACTION, INFO = "multinode.slurm_job", "multinode.slurm_job_info"


class LoginSession(RunSession):
    """The session of a run in such a job; until the job runs, its only node is the login node."""

    def __init__(
        self,
        login: Targets,
        wanted: dict[str, Any],
        view: View,
        record: Record | None = None,
        reading: Reading | None = None,
        caught_up: Callable[[], None] | None = None,
    ) -> None:
        """
        Prepare.

        Args:
            login: The login node.
            wanted: The variables of the launch; for an attachment or for reading, those that name the run.
            reading: Which output is wanted; by default all.
            caught_up: Called once everything is read that was written before.
        """
        super().__init__(login, wanted, view, record)
        self._attached = False
        self._reading, self._caught_up = reading or Reading(), caught_up

    @property
    def detached(self) -> bool:
        """Whether the run continues, or still waits, without this session."""
        return bool(self.final and self.final.get("detached"))

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Process an event; record the run as soon as there is a job."""
        kind = event["event"]
        if kind == events.SO_FAR and "host" not in event:
            self._catch_up()
        elif kind not in (events.SUBMITTED, events.QUEUED) or is_forged(event):
            for frame in self._reading.take((event, payload)):
                super().on_event(*frame)
        elif kind == events.QUEUED:
            self.view.progress("queue", event["text"])
        else:
            self._submitted(event)

    def _catch_up(self) -> None:
        for frame in self._reading.caught_up():
            super().on_event(*frame)
        if self._caught_up:
            self._caught_up()

    def _submitted(self, event: dict[str, Any]) -> None:
        login = {
            "names": list(self.nodes.names),
            "inventory": self.nodes.inventory,
            "sources": list(self.nodes.sources),
        }
        job = {"on": "slurm", "id": event["job_id"], "place": event["place"], "conf": event["conf"], "login": login}
        if self.record is None:
            arguments = {name.removeprefix(PREFIX): value for name, value in self.wanted.items()}
            made = record_of({**arguments, "run_id": event["run_id"]}, self.wanted["madctl_slurm_nodes"], job)
            self.remember(replace(made, typed=self.typed))
        else:
            self.remember(replace(self.record, job=job))
        for line in event["said"]:
            self.view.notice(Problem("SCHEDULER_REMARK", line))
        assert self.record is not None
        self.view.called(self.record.run_id, self.record.name)
        self.view.progress("queue", f"submitted as job {event['job_id']} on {self.nodes.names[0]}")

    def planned(self, without_ifconfig: list[str]) -> None:
        """Record the nodes, which are known now."""
        if self.plan and self.record and not self.only_reads:
            self.remember(with_plan(self.record, self.plan))
        self.view.planned(self.plan, without_ifconfig)

    def on_task(self, action: str, host: str, result: dict[str, Any]) -> None:
        """Process the result of the job like that of a launch."""
        names = {ACTION: "madctl.multinode.run_launch", INFO: "madctl.multinode.run_logs"}
        named = next((name for end, name in names.items() if action.endswith(end)), action)
        super().on_task(named, host, result)
