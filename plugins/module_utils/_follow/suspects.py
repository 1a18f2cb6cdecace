# SPDX-License-Identifier: Apache-2.0
"""
Decide what happens to nodes whose channel ended before their run did. Private to the collection.

Such a node is suspected, not lost: ``Links`` looks for another way to it, and asks other nodes whether it is alive.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._follow.node_run import NodeRun

# Together with the time after which a way gives up a silent node, the sum is below a minute.
ASK_SECONDS = 20.0
LOST_SECONDS = 40.0

Lose = Callable[[NodeRun, str, str, float], None]  # node, code, message, when it was last heard of


class Way(Protocol):
    """What a follower knows about the way to a node, whatever carries it."""

    # How long the node can be silent before its channel ends.
    silence_seconds: float

    def hint(self, host: str) -> str:
        """Return how to check a host by hand, worded to follow a colon."""


class Links(Protocol):
    """How to return to a node; answers come later, by ``back`` of the follower, ``alive`` and ``swept`` of suspects."""

    def look_for(self, host: str, position: Dict[str, Any]) -> None:
        """Look for a new channel that continues at ``position``."""

    def ask(self, host: str, peers: List[str]) -> None:
        """Ask other nodes whether one is alive."""

    def sweep(self, host: str) -> None:
        """End what a killed supervisor left behind."""


class Suspects:
    """The nodes of a run that may be lost."""

    def __init__(
        self,
        runs: Sequence[NodeRun],
        ways: Mapping[str, Way],
        tell: Callable[[Dict[str, Any], bytes], None],
        lose: Lose,
        clock: Callable[[], float],
        may_sweep: bool,
    ) -> None:
        """
        Prepare.

        Args:
            clock: Counts the seconds in which this process was not stopped.
        """
        self._runs, self._ways, self._tell, self._lose, self._may_sweep = runs, ways, tell, lose, may_sweep
        self._clock = clock
        self._by_host = {run.host: run for run in runs}
        self.links: Optional[Links] = None

    def all(self) -> List[NodeRun]:
        """Return the nodes that are currently suspected."""
        return [run for run in self._runs if run.suspected_at is not None]

    def add(self, run: NodeRun, links: Links) -> None:
        """Suspect a node, and look for another channel to it."""
        run.suspected_at, run.asked_at, run.alive = self._clock(), None, None
        self._tell({"event": events.SUSPECT, "host": run.host}, b"")
        links.look_for(run.host, {"offsets": dict(run.offsets), "seq": run.seq})

    def judge(self, run: NodeRun) -> None:
        """Give up a node that stays silent, unless another node confirms that it is alive."""
        if run.suspected_at is None:
            return
        now = self._clock()
        others = [other for other in self._runs if other is not run]
        peers = [other.host for other in others if other.suspected_at is None and other.failure_code != "NODE_LOST"]
        if now - (run.asked_at or run.suspected_at) > ASK_SECONDS and peers and self.links:
            run.asked_at = now
            self.links.ask(run.host, peers)
        # If no node answers, our own connection is down, and the run continues.
        all_silent = bool(others) and not peers
        if now - run.suspected_at > LOST_SECONDS and not run.alive and not all_silent:
            about = "it has not answered for %d s" % (now - run.suspected_at)
            why = ", and node %s cannot reach it either" % peers[0] if run.alive is False else ""
            last_heard = time.time() - (now - run.suspected_at) - self._ways[run.host].silence_seconds
            run.suspected_at = None
            self._lose(run, "NODE_LOST", about + why, last_heard)

    def back(self, host: str) -> None:
        """Restart the timers of all suspects, because one of them is back."""
        self._tell({"event": events.BACK, "host": host}, b"")
        for run in self.all():
            # Perhaps our own connection was down; then the others get as much time as this one had.
            run.suspected_at, run.asked_at, run.alive = self._clock(), None, None

    def alive(self, host: str, answer: Optional[bool]) -> None:
        """Record what another node reports about a silent one; None if it did not answer either."""
        self._by_host[host].alive = answer

    def sweep(self, run: NodeRun) -> None:
        """End what is left on a node whose supervisor can no longer do that."""
        if self.links and self._may_sweep:
            run.sweeping = True
            self.links.sweep(run.host)

    def swept(self, host: str, left: List[str]) -> None:
        """Record what a sweep could not end."""
        run = self._by_host[host]
        run.sweeping, run.left = False, left
