# SPDX-License-Identifier: Apache-2.0
"""Follow a run in a cluster of Kubernetes, in the place of ``engine.Engine``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.following import Following, Listener
from madctl.errors import MadctlError
from madctl.jobs import kubernetes
from madctl.jobs.reading import Reading
from madctl.nodes.inventory import Targets
from madctl.playbook import EventListener, TaskListener

_ORDERS = {wire.STOP: "stop", wire.KILL: "kill"}
_AGAIN_SECONDS = 2.0

Tell = Callable[[str, str], None]


class InCluster:
    """Follows one run until it has ended, or reads what there is without waiting for that."""

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
            tell: Gets a stage and what is to be told of it.
            reading: What of the output is wanted; by default all.
            follow: Whether to wait for the end.
            read_only: Whether no order may reach the run: any of them ends the reading, and how the run ended is not
                asked.
            caught_up: Called when all was read that was there at first.
            stuck_seconds: How long a pod may be in a state that no time cures before the run is given up; None for
                ever.
        """
        self._on_task, self._on_event, self._tell = on_task, on_event, tell
        self._cluster, self._run_id, self._read_only = cluster, run_id, read_only
        self._reading, self._told_caught_up = reading or Reading(), caught_up
        self._following = Following(
            cluster, run_id, Listener(self._frames, lambda text: tell("queue", text), self._caught_up), follow
        )
        self._order: bytes | None = None
        self._obeyed: bytes | None = None
        self._again_at = 0.0
        self._stuck_seconds = stuck_seconds
        self._stuck: tuple[str, float] | None = None

    def __enter__(self) -> InCluster:
        self._following.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._following.__exit__()

    def stop(self, order: bytes, leaving: bool = False) -> bool:
        """Take an order; it is carried out by the thread that follows."""
        del leaving
        self._order = wire.DETACH if self._read_only else order
        return True

    def cancel(self) -> None:
        """Do nothing: an order always arrives."""

    def run(self, playbook: str, targets: Targets, variables: dict[str, Any]) -> None:
        """Follow to the end of the run, and report it as the playbook's action would."""
        del targets, variables
        result = self._result()
        if self._read_only and not result.get("is_unknown"):
            result = {**result, "problems": [], "exit_code": 0}
        self._on_task(f"madctl.multinode.run_{playbook}", "", result)

    def _result(self) -> dict[str, Any]:
        while True:
            try:
                result = self._following.turn()
            except Refused as refused:
                # The run does not depend on it.
                return {**_failed(refused.problem), "is_unknown": True}
            if result is not None:
                return self._interrupted(result)
            if self._order is not None and self._order not in _ORDERS:
                return {"detached": True, "run_id": self._run_id, "problems": [], "exit_code": 0}
            found = self._obey() or self._give_up()
            if found is not None:
                return found

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

    # -- orders ---------------------------------------------------------------------------------

    def _obey(self) -> dict[str, Any] | None:
        """Carry out a new order: a run that has not begun is deleted, one that runs is told."""
        if self._order is None or self._order == self._obeyed or time.monotonic() < self._again_at:
            return None
        try:
            if self._following.has_begun:
                kubernetes.tell(self._cluster, self._following.first_pod, _ORDERS[self._order])
                self._obeyed = self._order
                return None
            kubernetes.delete(self._cluster, self._run_id)
        except MadctlError as error:
            self._again_at = time.monotonic() + _AGAIN_SECONDS
            self._tell("queue", f"{error.problems[0].message}; trying again")
            return None
        return _failed(codes.problem("INTERRUPTED", None, "interrupted; the job was deleted before it began"))

    def _interrupted(self, result: dict[str, Any]) -> dict[str, Any]:
        """Say that it was this command that stopped the run."""
        problems = result.get("problems") or []
        if self._obeyed is not None and problems and problems[0]["code"] == "RUN_STOPPED":
            return {**result, **_failed(codes.problem("INTERRUPTED", None, "interrupted"))}
        return result

    def _give_up(self) -> dict[str, Any] | None:
        """Delete a run that cannot start, such as one whose image does not exist, after a while."""
        found = self._following.standing()
        if self._stuck_seconds is None or not found.stuck:
            self._stuck = None
            return None
        now = time.monotonic()
        if self._stuck is None:
            self._stuck = (found.sentence, now)
        if now - self._stuck[1] < self._stuck_seconds:
            return None
        entry = codes.problem("NODE_NOT_READY", found.host, found.reason)
        try:
            kubernetes.delete(self._cluster, self._run_id)
        except MadctlError as error:
            self._tell("queue", error.problems[0].message)
        return _failed(entry)


def _failed(entry: codes.Problem) -> dict[str, Any]:
    return {"detached": False, "restarts": [], "problems": [entry], "exit_code": int(codes.exit_code([entry]))}
