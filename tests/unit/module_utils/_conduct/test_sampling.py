# SPDX-License-Identifier: Apache-2.0
"""Samples of many nodes, each at its own pace: one that is silent, slow or over does not hold up the others."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, usage
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.sampling import Sampling
from tests.unit.module_utils import measured, ways

PLAN = {"run_id": "r", "nodes": [{"host": "n1", "run_dir": "/x/r"}, {"host": "n2", "run_dir": None}]}


class Loop:
    """A clock that a test moves."""

    def __init__(self):
        self.now, self.due = 100.0, []

    def time(self):
        return self.now

    def after(self, seconds, callback):
        self.due.append((round(self.now + seconds, 3), callback))

    def move(self, seconds):
        self.now += seconds
        ready = [callback for at, callback in self.due if at <= self.now]
        self.due = [entry for entry in self.due if entry[0] > self.now]
        for callback in ready:
            callback()


class Agents:
    """Agents whose nodes answer when a test says so."""

    def __init__(self):
        self.loop, self.ways, self.asked = Loop(), {"n1": ways.ByHand(), "n2": ways.ByHand()}, {}
        for host, way in self.ways.items():
            way.host = host

    def call(self, host, task):
        assert host not in self.asked, "it was asked, and has not answered yet"
        self.asked[host] = task

    def answer(self, host, **answer):
        self.asked.pop(host).answered(answer)

    def measure(self, host, **more):
        now = measured.measurement(self.loop.now, **more)
        self.answer(host, state="running", measured=now, kept=None)


@pytest.fixture
def agents():
    return Agents()


@pytest.fixture
def sampling(agents):
    found = Sampling(agents, PLAN)
    found.start()
    return found


def test_a_node_is_asked_once_a_second(agents, sampling):
    assert {host: task.request for host, task in agents.asked.items()} == {
        "n1": {"run_id": "r", "run_dir": "/x/r", "asks_gpus": True},
        "n2": {"run_id": "r", "run_dir": None, "asks_gpus": True},
    }
    # A connection may take longer than that.
    agents.loop.move(5.25)
    agents.measure("n1", ranks={0: 5.0})
    assert (sampling.nodes["n1"].sample, sampling.nodes["n1"].is_settled) == (None, False)
    agents.loop.move(0.9)
    assert list(agents.asked) == ["n2"]
    agents.loop.move(0.1)
    agents.loop.move(0.25)
    agents.measure("n1", ranks={0: 7.5})

    [found] = [sampling.nodes["n1"].sample]
    assert (found["seconds"], found["ranks"]["0"]["cpu_percent"]) == (1.25, 200.0)
    agents.loop.move(0.7)
    assert list(agents.asked) == ["n2"]
    agents.loop.move(0.05)
    assert set(agents.asked) == {"n1", "n2"}
    assert (sampling.nodes["n1"].is_settled, sampling.is_settled, sampling.is_over) == (True, False, False)


def test_a_slow_node_is_asked_again_soon_and_holds_up_no_other(agents, sampling):
    for host in ("n1", "n2"):
        agents.measure(host)
    agents.loop.move(1.0)
    agents.measure("n1")
    agents.loop.move(3.0)
    agents.measure("n2")
    agents.loop.move(0.3)
    assert list(agents.asked) == ["n1"]
    agents.loop.move(0.2)

    assert set(agents.asked) == {"n1", "n2"}


def test_a_silent_node_is_asked_again_later_and_others_go_on(agents, sampling):
    agents.measure("n1")
    agents.answer("n2", failed=True, msg="no route\x1b[2J", rc=None)
    problem = sampling.nodes["n2"].problem
    assert (problem["code"], problem["host"]) == ("NODE_SILENT", "n2")
    assert "\x1b" not in problem["message"]
    assert sampling.nodes["n2"].is_settled
    agents.loop.move(4.0)
    assert list(agents.asked) == ["n1"]
    agents.loop.move(1.0)
    agents.measure("n2")

    assert (sampling.nodes["n2"].problem, sampling.nodes["n2"].state) == (None, "running")


def test_what_the_way_says_of_a_node_that_is_not_reached_is_kept(agents, sampling):
    problem = codes.problem("HOST_UNREACHABLE", "n2", "no route", "walk")
    agents.answer("n2", failed=True, msg="no route", rc=None, problem=problem)

    assert sampling.nodes["n2"].problem == problem


def test_a_node_that_was_silent_has_no_share_of_the_time_before(agents, sampling):
    agents.measure("n1", ranks={0: 5.0})
    agents.loop.move(1.0)
    agents.answer("n1", failed=True, msg="x")
    agents.loop.move(5.0)
    agents.measure("n1", ranks={0: 500.0})

    assert sampling.nodes["n1"].sample is None


def test_a_run_that_is_over_is_asked_for_its_last_sample_only(agents, sampling):
    kept = measured.sample()
    agents.answer("n1", state="exited", measured=None, kept=kept)
    agents.answer("n2", state="lost", measured=None, kept=None)
    agents.loop.move(60.0)

    assert agents.asked == {}
    assert (sampling.nodes["n1"].sample, sampling.nodes["n2"].sample) == (kept, None)
    assert (sampling.is_settled, sampling.is_over) == (True, True)


@pytest.mark.parametrize(("kept", "expected"), [(5.0, 11.0), (500.0, 500.0), (None, 11.0)])
def test_the_newest_sample_of_a_run_that_ends_is_shown(kept, expected, agents, sampling):
    start = agents.loop.now
    agents.measure("n1")
    agents.loop.move(1.0)
    agents.measure("n1")
    agents.loop.move(1.0)
    left = None if kept is None else measured.sample(time=1_700_000_000.0 + start - 10 + kept)
    agents.answer("n1", state="exited", measured=None, kept=left)

    assert sampling.nodes["n1"].sample["time"] == 1_700_000_000.0 + start - 10 + expected
    assert sampling.nodes["n1"].is_over


def test_a_run_that_has_not_started_is_waited_for(agents, sampling):
    agents.answer("n1", state="armed", measured=None, kept=None)
    assert sampling.nodes["n1"].is_settled
    agents.loop.move(1.0)

    assert set(agents.asked) == {"n1", "n2"}


def test_gpus_that_hang_are_not_asked_for_again_but_are_still_told_of(agents, sampling):
    agents.measure("n1", gpus_error=usage.HUNG)
    for _ in range(2):
        agents.loop.move(1.0)
        assert agents.asked["n1"].request["asks_gpus"] is False
        agents.measure("n1")

    assert sampling.nodes["n1"].sample["gpus_error"] == usage.HUNG
