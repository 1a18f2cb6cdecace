# SPDX-License-Identifier: Apache-2.0
"""
Call a function on many nodes at once, where one of them, the head, has to speak first.

The head's function tells its news, the ports that it listens on, while it runs; the others are called with them, and
the head's input ends when all others have answered. Private to the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Call

News = Dict[str, Any]
LISTENING = "listening"


class Round:
    """One call per node; ``answered`` gets every node's answer once."""

    def __init__(
        self,
        agents: Agents,
        hosts: Iterable[str],
        head: Optional[str],
        function: str,
        request: Callable[[str, News], Any],
        answered: Callable[[str, Answer], None],
        seconds: float,
        **how: bool,
    ) -> None:
        """
        Prepare a round.

        Args:
            head: The node that speaks first, or None when nobody has to.
            request: What a node's call takes, from the node's name and the head's news.
            seconds: The time that each call has.
            how: More for ``Link.call``.
        """
        self._agents, self._hosts, self._head = agents, list(hosts), head
        self._function, self._request, self._answered = function, request, answered
        self._seconds, self._how = seconds, how
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
        """Call nobody any more, drop all calls, and give the nodes that were called and have not answered."""
        self._is_cancelled = True
        dropped = self.awaited & set(self._calls)
        for host in dropped:
            self._calls[host].drop()
        self.awaited.clear()
        return dropped

    def _call(self, host: str, news: News) -> None:
        def told(found: News) -> None:
            if host == self._head and LISTENING in found:
                self._speak(found)

        self._agents.call(
            host,
            self._function,
            self._request(host, news),
            self._seconds,
            lambda answer: self._take(host, answer),
            told=told,
            started=lambda call: self._calls.update({host: call}),
            **self._how,
        )

    def _speak(self, news: News) -> None:
        if self._has_spoken or self._is_cancelled:
            return
        self._has_spoken = True
        for host in self._hosts:
            if host != self._head:
                self._call(host, news)
        self._release_head()

    def _take(self, host: str, answer: Answer) -> None:
        if host not in self.awaited:
            return
        self.awaited.discard(host)
        self._answered(host, answer)
        if host == self._head:
            self._speak({})  # It ended without a word: there is nothing to connect to.
        self._release_head()

    def _release_head(self) -> None:
        if self._has_spoken and self.awaited == {self._head} and self._head in self._calls:
            self._calls[self._head].end_input()
