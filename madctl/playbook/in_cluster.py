# SPDX-License-Identifier: Apache-2.0
"""Follow a run in a Kubernetes cluster, in place of ``engine.Engine``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import word
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.following import Following, Listener
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.obeying import Obeying
from madctl.jobs.reading import Reading
from madctl.nodes.inventory import Targets
from madctl.playbook import EventListener, TaskListener

_ORDERS = {wire.STOP: "stop", wire.KILL: "kill"}

Tell = Callable[[str, str], None]


class InCluster:
    """Follows one run until it has ended, or reads what has been written so far."""

    failure: str | None = None

    def __init__(
        self,
        on_task: TaskListener,
        on_event: EventListener,
        cluster: Cluster,
        run_id: str,
        tell: Tell,
        reading: Reading | None = None,
        follow: bool = True,
        read_only: bool = False,
        caught_up: Callable[[], None] | None = None,
        stuck_seconds: float | None = None,
    ) -> None:
        """
        Prepare to follow.

        Args:
            tell: Called with a stage and a text to show.
            reading: Which output is wanted; by default all.
            follow: Whether to wait for the end.
            read_only: Whether orders must not reach the run: any order ends the reading, and how the run ended is not
                reported.
            caught_up: Called once everything is read that was written before.
            stuck_seconds: How long a pod may be in a state that does not pass by itself before the run is given up;
                None for no limit.
        """
        self._on_task, self._on_event = on_task, on_event
        self._run_id, self._read_only = run_id, read_only
        self._reading, self._told_caught_up = reading or Reading(), caught_up
        self._following = Following(
            cluster, run_id, Listener(self._frames, lambda text: tell("queue", text), self._caught_up), follow
        )
        self._order: bytes | None = None
        self._obeying = Obeying(cluster, run_id, self._following, lambda text: tell("queue", text), stuck_seconds)

    def __enter__(self) -> InCluster:
        self._following.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._following.__exit__()

    def stop(self, order: bytes, leaving: bool = False) -> bool:
        """Take an order, which the following thread carries out."""
        del leaving
        self._order = wire.DETACH if self._read_only else order
        return True

    def cancel(self) -> None:
        """Do nothing: orders always arrive."""

    def run(self, playbook: str, targets: Targets, variables: dict[str, Any]) -> None:
        """Follow the run to its end, and report as the playbook's action would."""
        del targets, variables
        result = self._result()
        if self._read_only and not result.get("is_unknown"):
            result = {**result, "problems": [], "exit_code": 0}
        self._on_task(f"madctl.multinode.run_{playbook}", "", result)

    def _result(self) -> dict[str, Any]:
        while True:
            try:
                result = self._obeying.turn()
            except Refused as refused:
                # The run itself does not depend on following it.
                return {**word.failed(refused.problem), "is_unknown": True}
            if result is not None:
                return result
            if self._order is not None and self._order not in _ORDERS:
                return {"detached": True, "run_id": self._run_id, "problems": [], "exit_code": 0}
            self._obeying.order = _ORDERS[self._order] if self._order else None

    def _frames(self, frames: Iterable[wire.Frame]) -> None:
        for frame in frames:
            self._show(self._reading.take(frame))

    def _show(self, frames: Iterable[wire.Frame]) -> None:
        for event, payload in frames:
            self._on_event(event, payload)

    def _caught_up(self) -> None:
        self._show(self._reading.caught_up())
        if self._told_caught_up:
            self._told_caught_up()
