# SPDX-License-Identifier: Apache-2.0
"""
The state of each node of a run, according to the run's events, in the words of ``_runs.run_state``.

Pure; private to the collection.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import events

_STATES = {events.STARTED: "running", events.EXIT: "exited", events.LOST: "lost"}
_KEPT = ("outcome", "exit_code", "signal", "stopped", "reason")


class Progress:
    """Counts and records, event by event."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._began: Optional[float] = None
        self._nodes: Dict[str, Dict[str, Any]] = {}

    def take(self, event: Dict[str, Any]) -> None:
        """Take one event of the run."""
        kind = event["event"]
        if kind in (events.PLANNED, events.RESTART) and event["plan"]:
            names = [node["host"] for node in event["plan"]["nodes"]]
            self._nodes = {name: {"state": "armed", "exit": None, "joined": 0} for name in names}
        elif kind == events.STOPPING:
            for node in self._nodes.values():
                node["state"] = "stopping" if node["state"] == "running" else node["state"]
        elif event.get("host") in self._nodes:
            self._take_of(self._nodes[event["host"]], event)

    def _take_of(self, node: Dict[str, Any], event: Dict[str, Any]) -> None:
        kind = event["event"]
        node["state"] = _STATES.get(kind, node["state"])
        if kind == events.STARTED:
            self._began = self._began or self._clock()
        elif kind == events.JOINED:
            node["joined"] += 1
        elif kind == events.EXIT:
            node["exit"] = {"stopped": False, **{name: event[name] for name in _KEPT if name in event}}

    def shown(self) -> Dict[str, Any]:
        """
        Return what is known.

        Returns:
            ``began``, in seconds since the epoch, or None; ``nodes`` by host, each with ``state``, ``exit`` and
            ``joined``.
        """
        return {"began": self._began, "nodes": self._nodes}
