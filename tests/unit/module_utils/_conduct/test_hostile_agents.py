# SPDX-License-Identifier: Apache-2.0
"""Whatever comes over a channel, at either end: no exception, nothing without a bound, no word about another node."""

import math
import os
import socket

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.link import Link
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Task
from ansible_collections.madctl.multinode.plugins.module_utils._node import agent, own_sources
from tests import hostile

FIRST = b"\nmark %s\n" % bundles.OURS.encode()


class Loop:
    """A loop that never turns."""

    def watch(self, *_, **__):
        pass

    write = unwatch = after = watch


class Carrier:
    """A connection, and its socket, whose bytes a test has at hand."""

    words = None

    def __init__(self):
        self.link, self.pieces = self, []

    def recv(self, _):
        return self.pieces.pop(0)

    def send(self, data):
        return len(data)

    def code(self):
        return None

    def close(self):
        pass


class Node:
    """The controller's link to a node that is asked three things of different shapes, and a supervisor's stream."""

    def __init__(self):
        self.carrier, self.answers = Carrier(), {}
        self.heard, self.over = b"", 0
        self.link = Link(Loop(), self.carrier, "mark", self._ready, self._ended)
        self.ends = 0

    def _ready(self):
        for function in ("_runs.run_state:is_alive", "_runs.run_end:stop_now", "_arm.prove:prove"):
            name = function.partition(":")[2]
            self.answers[name] = []
            self.link.call(Task(function, {}, self.answers[name].append, 30.0, told=lambda news: None))
        self.link.relay("/runs/r", self._heard, self._over)

    def _heard(self, data):
        self.heard += data

    def _over(self):
        self.over += 1

    def _ended(self, why, code):
        assert isinstance(why, str) and code is None
        self.ends += 1

    def take(self, data, size):
        """Take bytes as they arrive."""
        for at in range(0, len(data), size):
            if self.link.channel.is_over:
                return
            self.carrier.pieces.append(data[at : at + size])
            self.link.channel._read()

    def end(self):
        """End the connection, where it did not end by itself."""
        if not self.link.channel.is_over:
            self.carrier.pieces.append(b"")
            self.link.channel._read()


PROVED = b'A{"listen": null, "connect": [], "read": [], "peers": {}, "routes": {}}\n'
HONEST = FIRST + b"".join(
    (
        wire.encode({"of": 1}, b'A{"alive": true}\n'),
        wire.encode({"of": 4}, b"ready"),
        wire.encode({"of": 3}, b'N{"listening": [5]}\n' + PROVED[:9]),
        wire.encode({"of": 2}, b'A{"failed": true, "msg": "no"}\n'),
        wire.encode({"of": 1, "ended": 0}),
        wire.encode({"of": 3}, PROVED[9:]),
        wire.encode({"of": 3, "ended": 0}),
        wire.encode({"of": 2, "ended": 9}),
        wire.encode({"of": 4, "ended": None}),
    )
)


def check_honest(node):
    assert node.answers["is_alive"] == [{"alive": True}]
    assert node.answers["stop_now"] == [{"failed": True, "msg": "no"}]
    assert node.answers["prove"][0]["listen"] is None and len(node.answers["prove"]) == 1
    assert node.heard == b"ready" and node.over == 1 and node.ends == 0


def test_an_honest_node_is_understood_however_it_arrives():
    for size in (1, 7, 1 << 20):
        node = Node()
        node.take(HONEST, size)
        check_honest(node)


@pytest.mark.fuzz
def test_a_node_that_sends_anything_answers_for_itself_alone(rounds):
    samples = [HONEST, HONEST[len(FIRST) :], FIRST, HONEST[:-60], HONEST[len(FIRST) :] * 2]
    for number, data in enumerate(hostile.mutated(samples, rounds)):
        odd, honest = Node(), Node()
        half = len(HONEST) // 2
        honest.take(HONEST[:half], 1 << 20)
        # Most say the first words as they are, so that what comes after them is looked at.
        odd.take(data if number % 8 == 0 else FIRST + data, 1 + number % 7 if number % 16 == 1 else 1 << 18)
        odd.end()
        honest.take(HONEST[half:], 1 << 20)
        check_honest(honest)
        assert odd.ends == 1, data
        assert odd.over <= 1, data
        for name, answers in odd.answers.items():
            assert len(answers) == 1, (name, data)
            answer = answers[0]
            if answer.get("failed"):
                assert isinstance(answer["msg"], str), data
            elif name == "is_alive":
                assert answer["alive"] in (True, False), data
            elif name == "stop_now":
                assert isinstance(answer["left"], list), data


# -- the other end -----------------------------------------------------------------------------------


class Agent(agent.Agent):
    """An agent that starts no processes: what is called echoes what it is given."""

    def _call(self, number, seconds, header):
        ours, theirs = socket.socketpair()
        theirs.close()
        self._streams[number] = agent.Stream(number, ours, None, seconds)

    def _become(self, header):
        raise EOFError

    def _relay(self, number, directory):
        self._call(number, 0.0, {})


SAID = [
    wire.encode({"call": 1, "module": "_a.b", "function": "c", "seconds": 5.0, "speaks": True, "finishes": False}),
    wire.encode({"call": 3, "module": "_a.b", "function": "c", "seconds": math.inf}),
    wire.encode({"give": 1}, b"00000002{}"),
    wire.encode({"relay": 2, "directory": "/runs/r"}),
    wire.encode({"give": 2}, b"g"),
    wire.encode({"close": 1}),
    wire.encode({"drop": 2}),
    wire.encode({"become": True, "module": "_a.b", "function": "c"}),
    wire.encode({"load": True}, bundles.packed(("_node.title",), frozenset(), bundles.OURS)[:200]),
]


@pytest.mark.fuzz
def test_an_agent_takes_anything(rounds, monkeypatch):
    monkeypatch.setattr(own_sources, "install", own_sources.Loader)
    said, heard = socket.socketpair()
    outside = os.open(os.devnull, os.O_WRONLY)
    samples = [*SAID, b"".join(SAID[:7]), SAID[0] + SAID[3], SAID[0] + SAID[2] * 3]
    try:
        for data in hostile.mutated(samples, rounds):
            one = Agent(heard.fileno(), outside)
            for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
                if piece and one._is_open:
                    said.sendall(piece)
                    one._hear()
            for header, _ in wire.Decoder().feed(bytes(one._waiting)):
                assert type(header["of"]) is int, data
            for number, stream in one._streams.items():
                assert type(number) is int and len(stream.waiting) <= len(data), data
            # How long it waits is something that the kernel takes, whatever the deadlines.
            assert 0.0 <= one._patience() < math.inf, data
            one._hang_up()
            assert not one._streams and not one._waiting, data
    finally:
        os.close(outside)
        for end in (said, heard):
            end.close()
