# SPDX-License-Identifier: Apache-2.0
"""Orders to a run in a cluster, runs that cannot start, and what is not known of a run."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import obeying
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.state import Standing
from madctl.playbook.in_cluster import InCluster
from madctl.playbook.kubernetes_session import ClusterSession
from madctl.playbook.report import report_run
from madctl.records import record_store
from madctl.screen.view import View
from tests.unit.cluster_objects import NAME, RUN, FakeCluster, job, running
from tests.unit.madctl import cluster_runs

SUCCESS = {"problems": [], "exit_code": 0, "restarts": []}
STOPPED = {**SUCCESS, "problems": [codes.problem("RUN_STOPPED", None, "stopped on request")], "exit_code": 130}
FORBIDDEN = Refused("SCHEDULER_REFUSED", "it is forbidden", status=403)


class Turns:
    """Stands for what follows a run: each turn does what a test says, or returns or raises it."""

    def __init__(self, *turns):
        self.turns, self.has_begun, self.first_pod, self.stands = list(turns), False, "", Standing("running")

    def turn(self):
        found = self.turns.pop(0)
        found = found() if callable(found) else found
        if isinstance(found, Exception):
            raise found
        return found

    def standing(self):
        return self.stands

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(obeying.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def follow(clock):
    def make(cluster, *turns, **more):
        make.told, make.results = [], []
        make.follower = InCluster(
            *(lambda action, host, result: make.results.append(result), lambda *_: None),
            *(cluster, RUN, lambda stage, text: make.told.append(text)),
            **more,
        )
        make.turns = make.follower._following = make.follower._obeying._following = Turns(*turns)
        return make

    return make


def played(made):
    made.follower.run("launch", None, {})
    (result,) = made.results
    return result, [entry["code"] for entry in result["problems"]]


def test_the_result_of_a_run_is_that_of_its_conductor(follow):
    assert played(follow(FakeCluster(), None, SUCCESS)) == (SUCCESS, [])


def test_a_run_that_runs_is_told_to_end_once_and_then_to_be_killed(follow):
    cluster = FakeCluster(job(), running(0))

    def order(which, result=None):
        def turn():
            made.follower.stop(which)
            return result

        return turn

    made = follow(cluster, order(wire.STOP), None, order(wire.KILL), None, STOPPED)
    made.turns.has_begun, made.turns.first_pod = True, "p"
    result, found = played(made)

    assert [value for _, _, value in cluster.told] == ["stop", "kill"] and cluster.deleted == []
    assert found == ["INTERRUPTED"] and result["exit_code"] == 130


def test_a_run_that_has_not_begun_is_deleted(follow):
    cluster = FakeCluster(job())
    made = follow(cluster, lambda: made.follower.stop(wire.STOP) and None, None)
    _, found = played(made)

    assert found == ["INTERRUPTED"] and ("Job", NAME) in cluster.deleted


def test_an_order_that_does_not_arrive_is_tried_again(follow, clock):
    cluster = FakeCluster(job(), running(0))
    cluster.down = Refused("SCHEDULER_UNREACHABLE", "it is away")

    def back():
        cluster.down, clock.now = None, clock.now + 10

    made = follow(cluster, lambda: made.follower.stop(wire.STOP) and None, None, back, STOPPED)
    made.turns.has_begun, made.turns.first_pod = True, "p"

    assert played(made)[1] == ["INTERRUPTED"]
    assert made.told == ["it is away; trying again"] and len(cluster.told) == 1


@pytest.mark.parametrize("order", [wire.STOP, wire.KILL, wire.DETACH])
def test_who_only_reads_can_order_nothing(follow, order):
    cluster = FakeCluster(job(), running(0))
    made = follow(cluster, lambda: made.follower.stop(order) and None, read_only=True)
    made.turns.has_begun, made.turns.first_pod = True, "p"
    result, found = played(made)

    assert result["detached"] and found == [] and cluster.told == cluster.deleted == []


def test_a_run_that_cannot_start_is_given_up_after_its_time_and_no_earlier(follow, clock):
    cluster = FakeCluster(job())
    stuck, fine = Standing("queued", "ErrImagePull", True, "pod-1"), Standing("starting")

    def later(seconds, stands):
        def turn():
            clock.now, made.turns.stands = clock.now + seconds, stands

        return turn

    made = follow(
        cluster,
        later(0, stuck),
        later(59, stuck),
        later(1, fine),
        later(1, stuck),
        later(59, stuck),
        later(1, stuck),
        stuck_seconds=60.0,
    )
    result, found = played(made)

    assert found == ["NODE_NOT_READY"] and result["problems"][0]["host"] == "pod-1" and made.turns.turns == []
    assert ("Job", NAME) in cluster.deleted


# -- what is not known --------------------------------------------------------------------------------


@pytest.mark.parametrize(("only_reads", "code"), [(False, "SCHEDULER_REFUSED"), (True, "SCHEDULER_REFUSED")])
def test_a_refusal_in_the_middle_is_no_end_of_the_run(own_records, follow, capsys, only_reads, code):
    """The run continues; what this machine remembers of it stays."""
    record, cluster = cluster_runs.remember(), FakeCluster()
    session = ClusterSession(record, View((), as_json=True, stages=()), cluster)
    session.only_reads = only_reads
    made = follow(cluster, FORBIDDEN, read_only=only_reads)
    result, found = played(made)
    session.on_task("madctl.multinode.run_launch", "", result)
    exit_code = report_run(session, "launch", True)

    assert found == [code] and exit_code == int(codes.exit_code_of([code])) != 0
    assert record_store.read(RUN) == record and session.final is None and session.failure == "it is forbidden"
