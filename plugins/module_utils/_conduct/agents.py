# SPDX-License-Identifier: Apache-2.0
"""
The agents of all nodes: a task for a node uses its agent, or starts one.

The number of parallel handshakes is bounded by what this machine can carry. One that fails as on a busy machine is
retried once, with fewer in parallel. Private to the collection.
"""

from __future__ import annotations

import functools
import os
import secrets
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop, Timer
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles, timing
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.link import Link
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Stream, Task
from ansible_collections.madctl.multinode.plugins.module_utils._ways import open_files
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Way, Ways

# Two attempts and Ansible's own start stay below 15 seconds.
FIRST_SECONDS, SECOND_SECONDS = 4.0, 8.0
# A kept connection that has died is noticed earlier, within 15 s. This bounds another failure, a Python that does not
# start.
_SPEAK_SECONDS = 18.0
_AGAIN_AT_ONCE = 8
_A_CORE = 8


def at_once() -> int:
    """Return how many handshakes this machine's cores can carry at once."""
    return _A_CORE * (os.cpu_count() or 1)


# A task that waits for an agent, and how to begin it once the agent has spoken.
Waiting = Tuple[Task, Callable[[Link], None]]


class Node:
    """One node: the tasks that wait for its agent, and the agent once it has spoken."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.link: Optional[Link] = None
        self.waiting: List[Waiting] = []
        self.attempt = 0
        self.begun = 0.0
        self.watch: Optional[Timer] = None


class Agents:
    """All agents of one command; a context manager that ends them."""

    def __init__(self, loop: Loop, ways: Ways, clock: Optional[timing.Clock] = None) -> None:
        """
        Prepare; no node is contacted yet.

        Args:
            clock: Measures the stages of the command, starting before the ways are known.
        """
        self.loop, self.ways, self.clock = loop, ways, clock or timing.Clock("")
        self._nodes = {host: Node(way) for host, way in ways.items()}
        self._due: Deque[Node] = deque()
        self._again: Deque[Node] = deque()
        self._running = self._running_again = 0
        self._is_closed = False
        self._links: Set[Link] = set()
        # Counted for the report of where the time goes.
        self.sessions: Dict[str, int] = dict.fromkeys(ways, 0)
        self.starts = self.sent = self.received = 0
        open_files.take()

    def __enter__(self) -> Agents:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what is asked --------------------------------------------------------------------------

    def call(self, host: str, task: Task) -> None:
        """Run a task on a node; if the node cannot be reached, its answer has ``problem``."""
        self._with_link(host, (task, lambda link: task.started(link.call(task))))

    def become(self, host: str, task: Task) -> None:
        """Turn a node's agent into one function, see ``Link.become``; the node's next task gets another agent."""
        node = self._nodes[host]

        def begin(link: Link) -> None:
            node.link = None
            if link.is_idle:
                task.started(link.become(task))
            else:  # Its earlier calls would get no answer.
                self._with_link(host, (task, begin))

        self._with_link(host, (task, begin))

    def relay(self, host: str, directory: str, heard: Callable[[bytes], None], over: Callable[[], None]) -> Stream:
        """Connect to a run's supervisor on a node whose agent has spoken."""
        link = self._nodes[host].link
        assert link is not None
        return link.relay(directory, heard, over)

    def ask(self, requests: Mapping[str, Any], function: str, seconds: float) -> Dict[str, Answer]:
        """
        Call a function on many nodes at once, wait for all of them, and return the answers by host.

        Args:
            requests: The argument of each node's call, by host.
            seconds: The time after which a node is given up.
        """
        answers: Dict[str, Answer] = {}
        for host, request in requests.items():
            self.call(host, Task(function, request, functools.partial(answers.__setitem__, host), seconds))
        self.loop.until(lambda: len(answers) == len(requests), seconds)
        for host in requests:
            if host not in answers:
                self.give_up(host, "it did not answer in %g s" % seconds)
        return {host: answers[host] for host in requests}

    def give_up(self, host: str, why: str) -> None:
        """End a node's agent, or the attempt to start it."""
        node = self._nodes[host]
        if node.link is not None:
            node.link.close(why)
        for queue in (self._due, self._again):
            if node in queue:
                queue.remove(node)
        self._refuse(node, codes.problem("HOST_UNREACHABLE", host, why, node.way.look()))

    def close(self) -> None:
        """End all agents."""
        if not self._is_closed:
            open_files.give_back()
        self._is_closed = True
        self._due.clear()
        self._again.clear()
        for node in self._nodes.values():
            if node.watch:
                node.watch.cancel()
            node.waiting = []
        for link in list(self._links):
            link.close()

    def counted(self) -> Dict[str, int]:
        """Return the totals so far, of agents that have ended and of those still running."""
        return {
            "nodes": len(self.sessions),
            "sessions": sum(self.sessions.values()),
            "starts": self.starts,
            "sent": self.sent + sum(link.channel.sent for link in self._links),
            "received": self.received + sum(link.channel.received for link in self._links),
        }

    # -- links ----------------------------------------------------------------------------------

    def _with_link(self, host: str, waiting: Waiting) -> None:
        node, (task, begin) = self._nodes[host], waiting
        if node.link is not None and node.link.is_open:
            if task.is_wanted():
                begin(node.link)
            return
        is_first = not node.waiting
        node.waiting.append(waiting)
        if is_first:
            node.attempt = 0
            self._due.append(node)
            self._start_more()

    def _start_more(self) -> None:
        while self._due and self._running < at_once() and not self._is_closed:
            self._running += 1
            self._start(self._due.popleft(), FIRST_SECONDS)
        while self._again and self._running_again < _AGAIN_AT_ONCE and not self._is_closed:
            self._running_again += 1
            node = self._again.popleft()
            node.way.reset()
            # An old connection that died took this long: the next attempt starts with a fresh handshake.
            was_open = time.monotonic() - node.begun > 2 * FIRST_SECONDS
            self._start(node, FIRST_SECONDS if was_open else SECOND_SECONDS)

    def _start(self, node: Node, seconds: float) -> None:
        node.attempt += 1
        node.begun = time.monotonic()
        self.sessions[node.way.host] += 1
        mark = secrets.token_hex(8)
        try:
            connection = node.way.start(node.way.command(bundles.boot(mark)), seconds)
        except OSError as error:
            text = reason(error, is_named=True)
            self.loop.after(0.0, lambda: self._ended(node, None, text, None))
            return
        link: Link = Link(
            self.loop,
            connection,
            mark,
            lambda: self._ready(node),
            lambda why, code: self._ended(node, link, why, code),
        )
        node.link = link
        self._links.add(link)
        # A way that leads nowhere would have ended by itself earlier, so the node's Python is silent.
        silent = "its Python printed nothing for %g s" % _SPEAK_SECONDS
        node.watch = self.loop.after(_SPEAK_SECONDS, lambda: link.close(silent, 0))

    def _ready(self, node: Node) -> None:
        self._attempt_over(node)
        self.starts += 1
        waiting, node.waiting = node.waiting, []
        for one in waiting:
            self._with_link(node.way.host, one)  # An earlier task may have taken the agent for itself, or ended it.
        self._start_more()

    def _attempt_over(self, node: Node) -> None:
        if node.watch:
            node.watch.cancel()
            node.watch = None
        if node.attempt == 1:
            self._running -= 1
        else:
            self._running_again -= 1

    def _ended(self, node: Node, link: Optional[Link], why: str, code: Optional[int]) -> None:
        if link is not None:
            self.sent += link.channel.sent
            self.received += link.channel.received
            self._links.discard(link)
            if node.link is link:
                node.link = None
            if link.is_ready:
                return
        self._attempt_over(node)
        of_way = not node.way.is_of_node(code)
        if of_way and node.attempt == 1 and node.way.may_pass(why) and node.waiting:
            self._again.append(node)
        elif node.waiting:
            self._refuse(node, node.way.explain(why, code) if of_way else _broken(node, why, code))
        self._start_more()

    @staticmethod
    def _refuse(node: Node, problem: codes.Problem) -> None:
        waiting, node.waiting = node.waiting, []
        for task, _ in waiting:
            task.answered({"failed": True, "rc": None, "msg": problem["message"], "problem": problem})


def _broken(node: Node, why: str, code: Optional[int]) -> codes.Problem:
    """Describe a node that was reached, but whose agent did not start."""
    host = node.way.host
    if code in (126, 127) or "interpreter" in why:
        return codes.problem("PYTHON_MISSING", host, "no Python at %s" % node.way.python, "install python3 there")
    message = "the node could not be inspected: %s" % " ".join(why.split())[-300:]
    return codes.problem("PROBE_FAILED", host, message, "check it: %s" % node.way.hint(host))
