# SPDX-License-Identifier: Apache-2.0
"""
Run a task on many nodes at once, where one of them, the head, has to speak first.

The head's function reports the ports that it listens on while it runs. The others are called with that news, and the
head's input ends when all others have answered. Private to the collection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Dict, Iterable, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Call, Task

News = Dict[str, Any]
LISTENING = "listening"


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
        """Call no more nodes, drop all calls, and return the nodes that were called and have not answered."""
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
            # A node that is reached after a cancel would take part in what is no longer awaited.
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
