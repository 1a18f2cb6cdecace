# SPDX-License-Identifier: Apache-2.0
"""
Come back to nodes whose connection ended in the middle of a run, and learn from others how they are.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Call
from ansible_collections.madctl.multinode.plugins.module_utils._follow import node_channels
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower

TAIL = "_runs.log_tail:tail"
# Between attempts, in seconds; the last one again and again.
_PAUSES = (0.5, 1, 2, 4, 8)
_ASK_SECONDS, _SWEEP_SECONDS = 15.0, 30.0
# A reader speaks at once; one that does not on a node that stands still is tried again.
_SPEAK_SECONDS = 12.0
_MESSAGE = 4096  # Characters.


class Links(node_channels.Links):
    """Links over the agents of one command."""

    def __init__(self, plan: Plan, agents: Agents, follower: Follower) -> None:
        self._plan, self._agents, self._follower = plan, agents, follower
        self._nodes = {node["host"]: node for node in plan["nodes"]}
        follower.links = self

    def request(self, host: str, position: Dict[str, Any], follow: bool = True) -> Dict[str, Any]:
        """Describe what a reader on a node is to send."""
        found = {"run_id": self._plan["run_id"], "run_dir": self._nodes[host].get("run_dir"), "follow": follow}
        return {**found, **position}

    def look_for(self, host: str, position: Dict[str, Any]) -> None:
        """Try again and again, ever more slowly, until there is a channel or nobody follows any more."""
        self._try(host, position, 0)

    def _try(self, host: str, position: Dict[str, Any], attempt: int) -> None:
        pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]

        def again() -> None:
            if not self._follower.is_over:
                self.open(host, position, lambda _: self._try(host, position, attempt + 1))

        self._agents.loop.after(pause, again)

    def open(
        self,
        host: str,
        position: Dict[str, Any],
        failed: Callable[[str], None],
        follow: bool = True,
        begin: Optional[Callable[[str, node_channels.Channel], None]] = None,
    ) -> None:
        """
        Start the reader on a node, and have the follower follow it.

        Args:
            failed: Gets the host where there is no reader.
            begin: Takes the channel; the follower's ``back`` where it is None.
        """
        follower = self._follower
        calls: List[Call] = []
        heard: List[bool] = []

        def begun(call: Call) -> None:
            calls.append(call)
            self._agents.loop.after(_SPEAK_SECONDS, give_up)

        def give_up() -> None:
            if not heard:
                heard.append(False)
                calls[0].drop()
                failed(host)

        def told(_: Dict[str, Any]) -> None:
            heard.append(True)
            if follower.is_over:
                calls[0].drop()
            else:
                (begin or follower.back)(host, calls[0])

        def answered(answer: Answer) -> None:
            heard.append(True)
            if follower.is_over:
                pass
            elif host in follower.channels and calls and follower.channels[host] is calls[0]:
                follower.ended(host)
            elif "problem" in answer or answer.get("rc", 0) is None:
                failed(host)
            else:
                self._refused(host, str(answer.get("msg")), begin or follower.back)

        self._agents.become(
            host,
            TAIL,
            self.request(host, position, follow),
            answered,
            told,
            lambda data: follower.heard(host, data),
            begun,
        )

    def _refused(self, host: str, message: str, begin: Callable[[str, node_channels.Channel], None]) -> None:
        """Have the follower hear that the node knows nothing of the run."""
        begin(host, _Nothing())
        self._follower.heard(host, wire.encode({"event": events.REFUSED, "message": message[:_MESSAGE]}))

    def ask(self, host: str, peers: List[str]) -> None:
        """Ask the first peer that answers whether it reaches a node on the network of the job."""
        node = self._nodes[host]
        if not node.get("address"):
            return
        request = {"address": node["address"], "ports": [22, self._plan["master_port"]]}
        waiting = list(peers[:3])

        def next_one() -> None:
            if not waiting:
                self._follower.alive(host, None)
                return
            self._agents.call(waiting.pop(0), "_runs.run_state:is_alive", request, _ASK_SECONDS, take)

        def take(answer: Answer) -> None:
            if "alive" in answer:
                self._follower.alive(host, answer["alive"])
            else:
                next_one()

        next_one()

    def sweep(self, host: str) -> None:
        """End what is left of the run on a node, in the background."""

        def take(answer: Answer) -> None:
            self._follower.swept(host, answer.get("left", ["nobody could look: %s" % answer.get("msg")]))

        self._agents.call(host, "_runs.run_end:stop_now", self.request(host, {}), _SWEEP_SECONDS, take)


class _Nothing:
    """A channel of a node that has nothing to tell."""

    def give(self, data: bytes) -> None:
        """Take an order that there is nobody for."""

    def drop(self) -> None:
        """End what never was."""
