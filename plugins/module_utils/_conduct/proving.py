# SPDX-License-Identifier: Apache-2.0
"""
Prove what a plan assumes: a task on many nodes at once, where one of them, the head, has to speak first.

The head's function reports the ports that it listens on while it runs. The others are then called with these ports, and
the head's input ends when all of them have answered. Arming does this with its own tasks; the proof alone is for a
check, and for a launch that is refused before any node is armed. Private to the collection.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Proof, Written
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Call, Task

News = Dict[str, Any]
LISTENING = "listening"
# The functions on nodes limit their own time; these limits are for a node that hangs.
PROOF_SECONDS, RELEASE_SECONDS = 20.0, 8.0


class Round:
    """One task per node, each of which is answered once."""

    def __init__(
        self, agents: Agents, hosts: Iterable[str], head: Optional[str], task: Callable[[str, News], Task]
    ) -> None:
        """
        Prepare a round.

        Args:
            head: The node that speaks first, or None if there is none.
            task: Makes a node's task from the node's name and the head's news.
        """
        self._agents, self._hosts, self._head, self._task = agents, list(hosts), head, task
        self._calls: Dict[str, Call] = {}
        self.awaited = set(self._hosts)
        self._has_spoken = self._is_cancelled = False

    def start(self) -> None:
        """Call the head, and the others as soon as it has spoken."""
        if self._head is None:
            self._speak({})
        else:
            self._call(self._head, {})

    def cancel(self) -> Set[str]:
        """Call no more nodes, drop all calls, and return the nodes that were called but have not answered."""
        self._is_cancelled = True
        dropped = self.awaited & set(self._calls)
        for host in dropped:
            self._calls[host].drop()
        self.awaited.clear()
        return dropped

    def _call(self, host: str, news: News) -> None:
        task = self._task(host, news)

        def told(found: News) -> None:
            if host == self._head and LISTENING in found:
                self._speak(found)

        whole = replace(
            task,
            answered=lambda answer: self._take(host, task, answer),
            told=told,
            started=lambda call: self._calls.update({host: call}),
            # A node that is reached after a cancel would take part in a round that is over.
            is_wanted=lambda: not self._is_cancelled,
        )
        self._agents.call(host, whole)

    def _speak(self, news: News) -> None:
        if self._has_spoken or self._is_cancelled:
            return
        self._has_spoken = True
        for host in self._hosts:
            if host != self._head:
                self._call(host, news)
        self._release_head()

    def _take(self, host: str, task: Task, answer: Answer) -> None:
        if host not in self.awaited:
            return
        self.awaited.discard(host)
        task.answered(answer)
        if host == self._head:
            self._speak({})  # It ended without news: there is nothing to connect to.
        self._release_head()

    def _release_head(self) -> None:
        if self._has_spoken and self.awaited == {self._head} and self._head in self._calls:
            self._calls[self._head].end_input()


def head(proof: Dict[str, Proof]) -> Optional[str]:
    """Return the node that listens and therefore has to speak first."""
    return next((host for host, wanted in proof.items() if "listen" in wanted), None)


def request(proof: Dict[str, Proof], host: str, news: News) -> Proof:
    """
    Write a node's request: its part, the addresses of all other nodes, and the ports that the head listens on.

    Without ports, there is nothing to connect to. The addresses are not in the plan, where they would grow with the
    square of the number of nodes.
    """
    own: Proof = {**proof[host]}
    if own.get("routes"):
        sources = (other["routes"]["source"] for name, other in proof.items() if name != host and other.get("routes"))
        own["routes"] = {**own["routes"], "to": list(sources)}
    connect, ports = own.get("connect"), news.get(LISTENING, [])
    if connect:
        own["connect"] = {**connect, "ports": ports} if ports else None
    return own


def due(proof: Dict[str, Proof]) -> Dict[str, Proof]:
    """Return the parts of the nodes that have anything to prove or to clean."""
    keys = ("listen", "connect", "routes", "read", "written", "peers")
    return {host: wanted for host, wanted in proof.items() if any(wanted.get(key) for key in keys)}


def run(
    proof: Dict[str, Proof], agents: Agents, is_over: Callable[[], bool] = lambda: False
) -> Dict[str, Dict[str, Any]]:
    """
    Run the proof and return the report of each node, by host, except for nodes with nothing to prove.

    Args:
        is_over: Whether the result is no longer needed.
    """
    parts = due(proof)
    results: Dict[str, Dict[str, Any]] = {}

    def task(host: str, news: News) -> Task:
        return Task("_arm.prove:prove", request(parts, host, news), partial(results.__setitem__, host), PROOF_SECONDS)

    proving = Round(agents, parts, head(parts), task)
    proving.start()
    agents.loop.until(lambda: not proving.awaited or is_over(), PROOF_SECONDS)
    proving.cancel()
    release({host: wanted["written"] for host, wanted in parts.items()}, agents)
    return results


def release(written: Dict[str, List[Written]], agents: Agents) -> None:
    """Have the proof's files removed, after all nodes have read them."""
    files = {host: own for host, own in written.items() if own}
    agents.ask(files, "_node.mount_table:release", RELEASE_SECONDS)
