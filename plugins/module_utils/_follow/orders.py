# SPDX-License-Identifier: Apache-2.0
"""The orders of a follower to all nodes of a run: go, stop, kill, write stacks. Private to the collection."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Protocol

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem


class Channel(Protocol):
    """The way to one supervisor; its output goes to ``heard`` and ``ended`` of the follower."""

    def give(self, data: bytes) -> None:
        """Send an order or a message; this never waits."""

    def drop(self) -> None:
        """End it; it receives nothing more."""


class Orders:
    """The orders that the nodes of a run were given so far; a follower that only reads gives none."""

    def __init__(
        self, tell: Callable[[Dict[str, Any], bytes], None], read_only: bool = False, has_gone: bool = False
    ) -> None:
        self._tell, self.read_only = tell, read_only
        self.channels: Dict[str, Channel] = {}
        # Why the whole run was stopped, unless a node's failure is the reason.
        self.interrupted: Optional[Problem] = None
        self.has_gone = has_gone
        self.stopping = self.killing = self.detached = False

    def join(self, host: str, channel: Channel) -> None:
        """Add a node's channel; if the others were already stopped, stop it as well."""
        self.channels[host] = channel
        if self.stopping:
            channel.give(wire.KILL if self.killing else wire.STOP)

    def give(self, host: str, order: bytes) -> None:
        """Give an order to one node, if there is a channel to it."""
        if host in self.channels and not self.read_only:
            self.channels[host].give(order)

    def _give_all(self, order: bytes) -> None:
        for channel in self.channels.values():
            channel.give(order)

    def go(self) -> None:
        """Start all runners: one byte per node, back to back."""
        self.has_gone = True
        self._give_all(wire.GO)

    def interrupt(self, reason: Problem) -> None:
        """Stop all nodes gracefully; kill at the second call, detach at the third. A mere reader detaches at once."""
        if self.read_only or self.killing:
            self.detached = True
        elif self.interrupted is None:
            self.stop_for(reason)
        else:
            self.kill()

    def stop_for(self, reason: Problem) -> None:
        """Stop all nodes, and keep the first reason that concerns the whole run."""
        self.interrupted = self.interrupted or reason
        self.stop(reason)

    def stop(self, why: Optional[Problem] = None) -> None:
        """Stop all nodes, once, and report why."""
        if not self.stopping and not self.read_only:
            self.stopping = True
            if self.has_gone:
                self._tell({"event": events.STOPPING, "why": why}, b"")
            self._give_all(wire.STOP)

    def kill(self) -> None:
        """Kill everything at once."""
        self.stopping = self.killing = True
        self._give_all(wire.KILL)

    def dump(self, reason: Problem) -> None:
        """Have the supervisors write the stacks of all ranks and stop the run."""
        self.interrupted, self.stopping = reason, True
        self._give_all(wire.DUMP)
