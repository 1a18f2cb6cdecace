# SPDX-License-Identifier: Apache-2.0
"""Orders to a run that is followed, and one that cannot start."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import obeying
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.state import Standing


class Following:
    """A run that continues until it is given a result."""

    result, has_begun, first_pod = None, True, "madctl-r1-0-abcde"
    stands = Standing("running")

    def turn(self):
        return self.result

    def standing(self):
        return self.stands


@pytest.fixture
def done(monkeypatch):
    done = []
    monkeypatch.setattr(obeying.orders, "tell", lambda cluster, pod, order: done.append((pod, order)))
    monkeypatch.setattr(obeying.orders, "delete", lambda cluster, run_id: done.append(run_id))
    return done


@pytest.fixture
def following():
    return Following()


def obey(following, stuck_seconds=None):
    said = []
    return obeying.Obeying(None, "r1", following, said.append, stuck_seconds), said


def stopped(code="RUN_STOPPED"):
    return {"detached": False, "problems": [codes.problem(code, None, "x")], "exit_code": 130}


def test_an_order_is_told_once_and_a_stronger_one_again(following, done):
    one, _ = obey(following)
    assert one.turn() is None and done == []
    one.order = obeying.STOP
    assert [one.turn(), one.turn()] == [None, None]
    one.order = obeying.KILL
    assert one.turn() is None
    assert done == [(following.first_pod, "stop"), (following.first_pod, "kill")]


def test_a_run_that_has_not_begun_is_deleted(following, done):
    following.has_begun = False
    one, _ = obey(following)
    one.order = obeying.STOP

    assert one.turn()["problems"][0]["code"] == "INTERRUPTED"
    assert done == ["r1"]


@pytest.mark.parametrize(
    ("order", "code", "told"),
    [("stop", "RUN_STOPPED", "INTERRUPTED"), (None, "RUN_STOPPED", "RUN_STOPPED"), ("stop", "NODE_LOST", "NODE_LOST")],
)
def test_who_has_stopped_a_run_is_told(following, done, order, code, told):
    one, _ = obey(following)
    one.order = order
    one.turn()
    following.result = stopped(code)

    assert one.turn()["problems"][0]["code"] == told


def test_an_order_that_does_not_arrive_is_told_and_sent_again(following, done, monkeypatch):
    def tell(cluster, pod, order):
        raise Refused("SCHEDULER_UNREACHABLE", "not reached")

    one, said = obey(following)
    one.order = obeying.STOP
    with monkeypatch.context() as patched:
        patched.setattr(obeying.orders, "tell", tell)
        assert one.turn() is None
    assert said == ["not reached; trying again"]
    monkeypatch.setattr(obeying.time, "monotonic", lambda: float("inf"))
    one.turn()
    assert done == [(following.first_pod, "stop")]


def test_only_what_no_time_cures_is_given_up(following, done):
    following.stands = Standing("queued", "unschedulable")
    one, _ = obey(following, stuck_seconds=0.0)
    assert one.turn() is None
    following.stands = Standing("queued", "ImagePullBackOff", True, "pod-1")

    found = one.turn()["problems"][0]
    assert (found["code"], found["host"], found["message"], done) == (
        "NODE_NOT_READY",
        "pod-1",
        "ImagePullBackOff",
        ["r1"],
    )
