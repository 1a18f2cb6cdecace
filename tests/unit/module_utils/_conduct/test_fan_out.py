# SPDX-License-Identifier: Apache-2.0
"""A round whose head ends early, a question that goes from peer to peer, and a reader that ends."""

from types import SimpleNamespace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import proving
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.links import Links
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.proving import Round
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Task
from tests.unit.module_utils.nodes_by_hand import IS_ALIVE, Two

ALIVE = b'A{"alive": true}\n'
PLAN = {"run_id": "r", "master_port": 29500, "nodes": [{"host": host, "address": host} for host in ("honest", "odd")]}


@pytest.fixture
def two():
    two = Two()
    yield two
    two.close()


class Follower:
    """A follower, as far as links need one."""

    def __init__(self):
        self.is_over, self.channels, self.told = False, {}, []
        self.suspects = SimpleNamespace(alive=lambda *words: self.told.append(("alive", *words)))

    def back(self, host, channel):
        self.channels[host] = channel

    def heard(self, host, data):
        self.told += [("heard", header["event"], header["message"]) for header, _ in wire.Decoder().feed(data)]

    def ended(self, host):
        self.told.append(("ended", host))


def test_a_head_that_ends_without_news_does_not_hold_up_the_others(two):
    answers = []
    launch = Round(two.agents, ["honest", "odd"], "odd", lambda host, news: Task(IS_ALIVE, {}, answers.append, 30.0))
    launch.start()
    two.odd.speak()
    assert two.honest.ends == []
    two.odd.answer(1, ALIVE)
    two.turn(lambda: two.honest.ends)
    two.honest.speak()
    two.honest.answer(1, ALIVE)
    two.turn(lambda: not launch.awaited)
    assert answers == [{"alive": True}] * 2


@pytest.mark.parametrize("answers", [True, False])
def test_the_next_peer_is_asked_where_one_does_not_answer(two, answers):
    follower = Follower()
    Links(PLAN, two.agents, follower).ask("odd", ["honest", "odd"])
    two.honest.fail("nobody there")
    two.turn(lambda: two.odd.ends)
    if answers:
        two.odd.speak()
        two.odd.answer(1, ALIVE)
    else:
        two.odd.fail("nobody there")
    two.turn(lambda: follower.told)
    assert follower.told == [("alive", "odd", True if answers else None)]


def read(two):
    follower = Follower()
    Links(PLAN, two.agents, follower).open("odd", {}, lambda host: follower.told.append(("failed", host)))
    two.odd.speak()
    two.turn(lambda: two.agents._nodes["odd"].link is None)
    return follower


def test_a_reader_that_ends_ends_its_channel(two):
    follower = read(two)
    two.odd.say(b'N{"frames": true}\n')
    two.turn(lambda: follower.channels)
    two.odd.ends[-1].close()
    two.turn(lambda: follower.told)
    assert follower.told == [("ended", "odd")]


def test_a_node_that_knows_nothing_of_the_run_is_not_tried_again(two):
    follower = read(two)
    two.odd.say(b'A{"failed": true, "msg": "no such run"}\n')
    two.turn(lambda: follower.told)
    assert follower.told == [("heard", "refused", "no such run")]


def test_a_node_with_nothing_to_prove_or_to_clean_takes_no_part():
    proof = {"a": {"read": [], "written": []}, "b": {"written": [{"janitor": 7}]}, "c": {"peers": ["b"]}}

    assert list(proving.due(proof)) == ["b", "c"]
