# SPDX-License-Identifier: Apache-2.0
"""Nodes whose end of the channel a test holds: what a controller's links and agents make of what nodes send."""

import contextlib
import re
import socket
import time

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Task
from ansible_collections.madctl.multinode.plugins.module_utils._ways import way

IS_ALIVE = "_runs.run_state:is_alive"
_MARK = re.compile(r"\\n([0-9a-f]{16}) ")
_SECONDS = 60.0


class Connection(way.Connection):
    """The controller's end, and how what carries it ended."""

    def __init__(self, link):
        super().__init__(link)
        self.exit, self.is_closed = None, False

    def code(self):
        return self.exit

    def close(self):
        super().close()
        self.is_closed = True


class ByHand(way.Way):
    """A way that leads to an end which a test holds."""

    def __init__(self, host, refuses=()):
        super().__init__(host, "python3")
        self.ends, self.connections, self.marks = [], [], []
        self.refuses = list(refuses)
        self.seconds, self.resets = [], 0

    def start(self, command, seconds=None):
        self.seconds.append(seconds)
        if self.refuses:
            raise OSError(self.refuses.pop(0))
        ours, theirs = socket.socketpair()
        self.marks.append(_MARK.search(command).group(1))
        self.ends.append(theirs)
        self.connections.append(Connection(ours))
        return self.connections[-1]

    @staticmethod
    def hint(host):
        return f"walk to {host}"

    def may_pass(self, text):
        return "busy" in text

    def is_of_node(self, code):
        return code is not None and code != 255

    def reset(self):
        self.resets += 1

    def fail(self, why="", code=255):
        """End an attempt as what carries it does."""
        self.connections[-1].exit = code
        self.ends[-1].sendall(why.encode())
        self.ends[-1].close()

    def speak(self, more=b""):
        """Send the first words of an agent."""
        self.say(b"\n%s %s\n" % (self.marks[-1].encode(), bundles.OURS.encode()) + more)

    def say(self, data):
        self.ends[-1].setblocking(False)
        self.ends[-1].sendall(data)

    def answer(self, number, line, ends=True):
        """Answer a call."""
        self.say(wire.encode({"of": number}, line) + (wire.encode({"of": number, "ended": 0}) if ends else b""))

    def close(self):
        for end in self.ends:
            end.close()


class Two:
    """The agents of two nodes, one honest and one that sends what it likes."""

    def __init__(self, *more):
        self.loop = Loop()
        self.honest, self.odd = ByHand("honest"), ByHand("odd")
        self.ways = {one.host: one for one in (self.honest, self.odd, *more)}
        self.agents = Agents(self.loop, dict(self.ways))

    def call(self, host, function=IS_ALIVE, seconds=30.0, **more):
        """Call a function, and give the list that its answers come to."""
        answers = []
        self.agents.call(host, Task(function, {}, answers.append, seconds, **more))
        return answers

    def turn(self, condition, seconds=_SECONDS):
        """Turn until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that"
            self.loop.turn(0.05)

    def settle(self):
        """Take all that has come."""
        for _ in range(4):
            self.loop.turn(0)

    def speak(self):
        """Have both be called, and speak."""
        answers = self.call("honest"), self.call("odd")
        for node in (self.honest, self.odd):
            node.speak()
        self.turn(lambda: all(self.agents._nodes[host].link.is_ready for host in ("honest", "odd")))
        return answers

    def push(self, node, data):
        """Send however much, as far as it is read."""
        node.ends[-1].setblocking(False)
        while data and not node.connections[-1].is_closed:
            with contextlib.suppress(OSError):
                data = data[node.ends[-1].send(data) :]
            self.loop.turn(0.01)

    def close(self):
        self.agents.close()
        for node in self.ways.values():
            if isinstance(node, ByHand):
                node.close()
        self.loop.close()
