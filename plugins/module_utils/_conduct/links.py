# SPDX-License-Identifier: Apache-2.0
"""
Reconnect to nodes whose connection ended during a run, and ask other nodes about them.

Private to the collection.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Call, Task
from ansible_collections.madctl.multinode.plugins.module_utils._follow import suspects
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower
from ansible_collections.madctl.multinode.plugins.module_utils._follow.orders import Channel

TAIL = "_runs.log_tail:tail"
# Seconds between attempts; the last one repeats.
_PAUSES = (0.5, 1, 2, 4, 8)
_ASK_SECONDS, _SWEEP_SECONDS = 15.0, 30.0
# A reader speaks at once; if it does not, its node hangs, and we try again.
_SPEAK_SECONDS = 12.0
_MESSAGE = 4096  # Characters.

Begin = Callable[[str, Channel], None]


class Links(suspects.Links):
    """Links over the agents of one command."""

    def __init__(
        self, plan: Plan, agents: Agents, follower: Follower, reading: Optional[Dict[str, Any]] = None
    ) -> None:
        """
        Prepare.

        Args:
            reading: What else to request from every reader; see ``log_tail``.
        """
        self._plan, self._agents, self._follower = plan, agents, follower
        self._reading = reading or {}
        self._nodes = {node["host"]: node for node in plan["nodes"]}
        follower.suspects.links = self

    def request(self, host: str, position: Dict[str, Any], follow: bool = True) -> Dict[str, Any]:
        """Write the request to the reader on a node."""
        run = {"run_id": self._plan["run_id"], "run_dir": self._nodes[host].get("run_dir")}
        return {**run, "follow": follow, **self._reading, **position}

    def look_for(self, host: str, position: Dict[str, Any], attempt: int = 0) -> None:
        """Retry at growing intervals until there is a channel or the follower is over."""
        pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]

        def again() -> None:
            if not self._follower.is_over:
                self.open(host, position, lambda _: self.look_for(host, position, attempt + 1))

        self._agents.loop.after(pause, again)

    def open(
        self,
        host: str,
        position: Dict[str, Any],
        failed: Callable[[str], None],
        follow: bool = True,
        begin: Optional[Begin] = None,
    ) -> None:
        """
        Start the reader on a node, and have the follower follow it.

        Args:
            failed: Gets the host if there is no reader.
            begin: Takes the channel; by default the follower's ``back``.
        """
        request = self.request(host, position, follow)
        _Reader(self._agents, self._follower, host, request, failed, begin or self._follower.back)

    def ask(self, host: str, peers: List[str]) -> None:
        """Ask peers in turn, until one answers, whether it reaches a node on the job's network."""
        node = self._nodes[host]
        if not node.get("address"):
            return
        request = {"address": node["address"], "ports": [22, self._plan["master_port"]]}
        waiting = list(peers[:3])

        def next_one() -> None:
            if waiting:
                self._agents.call(waiting.pop(0), Task("_runs.run_state:is_alive", request, take, _ASK_SECONDS))
            else:
                self._follower.suspects.alive(host, None)

        def take(answer: Answer) -> None:
            if "alive" in answer:
                self._follower.suspects.alive(host, answer["alive"])
            else:
                next_one()

        next_one()

    def sweep(self, host: str) -> None:
        """End what is left of the run on a node, in the background."""

        def take(answer: Answer) -> None:
            left = answer.get("left", ["unknown, the node could not be asked: %s" % answer.get("msg")])
            self._follower.suspects.swept(host, left)

        self._agents.call(host, Task("_runs.run_end:stop_now", self.request(host, {}), take, _SWEEP_SECONDS))


class _Reader:
    """One attempt to start a reader of a run's files on a node, whose agent becomes the reader."""

    def __init__(
        self, agents: Agents, follower: Follower, host: str, request: Any, failed: Callable[[str], None], begin: Begin
    ) -> None:
        self._agents, self._follower, self._host = agents, follower, host
        self._failed, self._begin = failed, begin
        self._call: Optional[Call] = None
        self._has_spoken = False
        raw = partial(follower.heard, host)
        agents.become(host, Task(TAIL, request, self._answered, told=self._told, raw=raw, started=self._started))

    def _started(self, call: Call) -> None:
        self._call = call
        self._agents.loop.after(_SPEAK_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if not self._has_spoken and self._call:
            self._has_spoken = True
            self._call.drop()
            self._failed(self._host)

    def _told(self, _: Dict[str, Any]) -> None:
        self._has_spoken = True
        assert self._call is not None
        if self._follower.is_over:
            self._call.drop()
        else:
            self._begin(self._host, self._call)

    def _answered(self, answer: Answer) -> None:
        self._has_spoken = True
        if self._follower.is_over:
            return
        if self._call and self._follower.channels.get(self._host) is self._call:
            self._follower.ended(self._host)
        elif "problem" in answer or answer.get("rc", 0) is None:
            self._failed(self._host)
        else:
            # The node knows nothing of the run.
            self._begin(self._host, _Nothing())
            refusal = {"event": events.REFUSED, "message": str(answer.get("msg"))[:_MESSAGE]}
            self._follower.heard(self._host, wire.encode(refusal))


class _Nothing:
    """The channel of a node without a reader."""

    def give(self, data: bytes) -> None:
        """Ignore an order."""

    def drop(self) -> None:
        """Do nothing."""
