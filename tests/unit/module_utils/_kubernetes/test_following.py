# SPDX-License-Identifier: Apache-2.0
"""A run in a cluster from its first news to its result, in all orders in which a cluster may tell it."""

import json
import threading
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import pod_log
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import following, streams
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.following import Following, Listener
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.pod_reading import stamped
from tests.unit.cluster_objects import (
    COMPLETE,
    FAILED,
    NAME,
    RUN,
    SUSPENDED,
    FakeCluster,
    condition,
    ended,
    job,
    pod,
    running,
    waiting,
)

SUCCESS = {"problems": [], "exit_code": 0, "restarts": [], "detached": False, "by_scheduler": False}
STOPPED = [{"code": "RUN_STOPPED", "host": None, "message": "the scheduler ended the job", "remedy": None}]
BY_SCHEDULER = {**SUCCESS, "problems": STOPPED, "exit_code": 130, "by_scheduler": True}
STARTED = {"event": "started", "host": "pod-0", "seq": 1, "pid": 7}
AWAY = Refused("SCHEDULER_UNREACHABLE", "it is away").problem
JOB, POD = clusters.JOB, clusters.POD


class Followed:
    """A run that is followed: a test says what arrives, and a clock that it moves alone decides what is late."""

    def __init__(self, monkeypatch, follow=True):
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(following, "_TURN_SECONDS", 0.0)
        self.started = {}
        for kind in ("Watch", "PodLog"):
            monkeypatch.setattr(getattr(streams, kind), "start", lambda thread: self._start(thread))
        self.frames, self.told, self.caught_up, self.cluster = [], [], 0, FakeCluster()
        listener = Listener(self.frames.extend, self.told.append, self._caught_up)
        self.reader = Following(self.cluster, RUN, listener, follow)
        self.reader.__enter__()

    def _start(self, thread):
        if isinstance(thread, streams.PodLog):
            assert thread._uid not in self.started, "no log is read twice"
            self.started[thread._uid] = thread

    def _caught_up(self):
        self.caught_up += 1

    def hear(self, *news):
        """Take news, and return the result, if that is the end."""
        for one in news:
            self.reader._queue.put(one)
        return self.reader.turn()

    def later(self, seconds):
        self.now += seconds
        return self.reader.turn()

    def is_over(self, uid):
        return self.started[uid].is_over.is_set()

    def output(self):
        return b"".join(payload for _, payload in self.frames)


@pytest.fixture
def followed(monkeypatch):
    return Followed(monkeypatch)


@pytest.fixture
def read(monkeypatch):
    return Followed(monkeypatch, follow=False)


def listed(found, *pods):
    return streams.Listed(JOB, [found] if found else []), streams.Listed(POD, list(pods))


def changed(found, what="MODIFIED"):
    return streams.Changed(found["kind"], what, found)


def says(uid, label, said):
    data = said if isinstance(said, bytes) else json.dumps(said).encode() + b"\n"
    at, _ = stamped(b"2026-12-01T05:00:01Z x")
    return [streams.Line(uid, at, line) for line in pod_log.lines(label, data)]


def code(result):
    return result["problems"][0]["code"] if result["problems"] else "succeeded"


# -- the end ------------------------------------------------------------------------------------------


def test_the_result_comes_after_the_last_lines_of_all_pods(followed):
    assert followed.hear(*listed(job(), running(0), running(1)), *says("pod-0", "event", STARTED)) is None
    assert followed.hear(*says("pod-0", "result", SUCCESS)) is None
    assert followed.hear(changed(ended(1)), *says("pod-1", "rank-1.out", b"last\n")) is None
    assert followed.is_over("pod-1") and not followed.is_over("pod-0")
    assert followed.hear(streams.LogEnd("pod-1")) == SUCCESS
    assert followed.output() == b"last\n" and followed.frames[0][0] == STARTED


def test_a_pod_that_never_falls_silent_does_not_keep_the_result_for_ever(followed):
    followed.hear(*listed(job(), running(0), running(1)), *says("pod-0", "result", SUCCESS))

    assert followed.later(14) is None and followed.later(2) == SUCCESS


def test_no_other_pod_ends_the_run(followed):
    followed.hear(*listed(job(), running(0), running(1)), *says("pod-1", "result", SUCCESS))

    assert followed.hear(streams.LogEnd("pod-1")) is None and followed.later(1000) is None


def test_a_job_that_is_complete_without_a_verdict_is_no_success(followed):
    followed.hear(*listed(COMPLETE, ended(0), ended(1)), streams.LogEnd("pod-0"), streams.LogEnd("pod-1"))

    assert code(followed.later(5)) == "SUPERVISOR_LOST"


def test_the_verdict_that_the_cluster_keeps_stands_for_a_lost_log(followed):
    told = {"exit_code": 0, "by_scheduler": False, "ended": 5.0}
    followed.hear(*listed(job(), running(0)), streams.LogEnd("pod-0"), changed(ended(0, 0, told)))
    assert followed.later(100) is None, "the job has not ended"
    assert followed.hear(changed(COMPLETE)) is None

    result = followed.later(5)
    assert code(result) == "succeeded" and result["ended"] == 5.0


def test_what_explains_the_end_may_come_after_it(followed):
    followed.hear(*listed(FAILED, ended(0, 137)), streams.LogEnd("pod-0"))
    assert followed.later(3) is None
    followed.hear(changed(ended(0, 137, "", "OOMKilled")))

    assert code(followed.later(2)) == "RANK_FAILED"


def test_a_run_that_the_cluster_ended_is_explained_once_the_cluster_says_why(followed):
    followed.hear(*listed(job(), running(0)), *says("pod-0", "result", BY_SCHEDULER), streams.LogEnd("pod-0"))
    assert followed.later(1) is None

    assert code(followed.hear(changed(job(condition("Failed", "DeadlineExceeded"))))) == "TIMED_OUT"


def test_a_run_that_the_cluster_ended_says_so_where_the_cluster_says_nothing(followed):
    followed.hear(*listed(job(), running(0)), *says("pod-0", "result", BY_SCHEDULER), streams.LogEnd("pod-0"))

    assert code(followed.later(16)) == "RUN_STOPPED"


# -- deleted by others --------------------------------------------------------------------------------


def test_a_job_that_others_delete_with_its_pods(followed):
    followed.hear(*listed(job(), running(0)), changed(running(0), "DELETED"), changed(job(), "DELETED"))
    assert followed.is_over("pod-0")
    followed.hear(streams.LogEnd("pod-0"))

    assert code(followed.later(5)) == "RUN_STOPPED"


def test_pods_that_are_told_to_end_have_the_time_for_that(followed):
    """Who deletes the job in the background does not wait for them; their last lines and their result do count."""
    followed.hear(*listed(job(), running(0, grace=60)), changed(job(), "DELETED"))
    followed.hear(changed(running(0, grace=60, deleted=True)))
    assert followed.later(60) is None
    followed.hear(
        *says("pod-0", "rank-0.out", b"saved\n"),
        *says("pod-0", "result", BY_SCHEDULER),
        changed(ended(0, deleted=True)),
    )

    assert code(followed.hear(streams.LogEnd("pod-0"))) == "RUN_STOPPED" and followed.output() == b"saved\n"


def test_pods_of_a_node_that_is_lost_do_not_keep_the_end_for_ever(followed):
    followed.hear(*listed(job(), running(0, grace=60)), changed(job(), "DELETED"))
    followed.hear(changed(running(0, grace=60, deleted=True)))

    assert followed.later(74) is None and code(followed.later(2)) == "RUN_STOPPED"


def test_pods_without_their_job_are_followed_as_long_as_they_run(followed):
    """A job may be deleted without them."""
    assert followed.hear(*listed(None, running(0))) is None and followed.later(1000) is None
    assert followed.hear(*says("pod-0", "result", SUCCESS)) == SUCCESS


def test_there_is_nothing_of_the_run(followed):
    result = followed.hear(*listed(None))

    assert code(result) == "RUN_UNKNOWN" and result["is_unknown"] is True
    assert f"run {RUN} is not in namespace train" in result["problems"][0]["message"]


def test_one_list_alone_says_nothing(followed):
    assert followed.hear(streams.Listed(JOB, [])) is None
    assert followed.hear(streams.Listed(POD, [running(0)])) is None


# -- again --------------------------------------------------------------------------------------------


def test_a_queue_takes_the_nodes_and_gives_others_later(followed):
    followed.hear(*listed(job(), running(0), running(1)), *says("pod-0", "rank-0.out", b"first\n"))
    followed.hear(changed(SUSPENDED), *says("pod-0", "result", BY_SCHEDULER), changed(ended(0, 130)))
    assert followed.later(100) is None
    followed.hear(streams.LogEnd("pod-0"), changed(ended(0, 130), "DELETED"), changed(running(1), "DELETED"))
    assert followed.later(100) is None and followed.told[-1] == "again suspended"
    assert not followed.reader.has_begun and followed.reader.first_pod == ""
    followed.hear(changed(job()), changed(waiting(0, uid="new", made="2026-12-01T06:00:00Z"), "ADDED"))
    assert followed.later(100) is None
    followed.hear(changed(running(0, uid="new", made="2026-12-01T06:00:00Z")), *says("new", "rank-0.out", b"second\n"))
    assert followed.reader.has_begun and followed.reader.first_pod.endswith("-new")
    assert followed.hear(*says("new", "result", SUCCESS)) is None, "another pod has not ended"
    followed.hear(streams.LogEnd("pod-1"))

    assert followed.later(1) == SUCCESS and followed.output() == b"first\nsecond\n"


OLD, NEW = {"uid": "old"}, {"uid": "new", "made": "2026-12-01T06:00:00Z"}
LATE_NEWS = {
    "the old one is deleted at last": [changed(ended(0, **OLD), "DELETED")],
    "the old one changes once more": [changed(ended(0, **OLD))],
    "both are listed again": [streams.Listed(POD, [running(0, **NEW), ended(0, **OLD)])],
    "both are listed again, in another order": [streams.Listed(POD, [ended(0, **OLD), running(0, **NEW)])],
}


@pytest.mark.parametrize("case", LATE_NEWS)
@pytest.mark.parametrize("was_seen", [True, False])
def test_late_news_of_an_old_pod_do_not_hide_the_new_one_of_its_number(followed, case, was_seen):
    followed.hear(*listed(job(), *([running(0, **OLD)] if was_seen else [])), changed(running(0, **NEW), "ADDED"))
    followed.hear(*LATE_NEWS[case], *says("new", "rank-0.out", b"x\n"))

    assert followed.output() == b"x\n" and followed.reader.first_pod.endswith("-new")
    assert followed.hear(*says("new", "result", SUCCESS)) == SUCCESS


@pytest.mark.parametrize("was_seen", [True, False])
def test_pods_of_one_second_are_told_apart_by_what_was_seen_of_them(followed, was_seen):
    followed.hear(*listed(job(), *([running(0, **OLD)] if was_seen else [])), changed(running(0, uid="new"), "ADDED"))
    followed.hear(*([changed(ended(0, **OLD))] if was_seen else []), changed(ended(0, **OLD), "DELETED"))

    assert followed.hear(*says("new", "result", SUCCESS)) == SUCCESS


# -- a server that is away ----------------------------------------------------------------------------


def test_a_server_that_is_away_in_the_middle_is_told_and_nothing_ends(followed):
    followed.hear(*listed(job(), running(0)), streams.Trouble(AWAY))
    assert followed.later(1000) is None
    followed.hear(streams.Trouble(None), streams.Listed(POD, [running(0)]), streams.Listed(JOB, [job()]))

    assert followed.told[-2:] == ["it is away; trying again", "the server answers again"]
    assert followed.hear(*says("pod-0", "result", SUCCESS)) == SUCCESS


@pytest.mark.parametrize("news", [(), listed(job(), running(0))])
def test_a_refusal_to_be_watched_ends_it(followed, news):
    with pytest.raises(Refused, match="forbidden"):
        followed.hear(*news, streams.Denied(Refused("SCHEDULER_REFUSED", "forbidden").problem, True))


def test_a_log_that_must_not_be_read_costs_only_its_lines(followed):
    followed.hear(*listed(job(), running(0)), streams.Denied(AWAY, False), streams.LogEnd("pod-0"))
    assert followed.told == ["it is away"]
    followed.hear(changed(ended(0, 0, {"exit_code": 0})), changed(COMPLETE))

    assert code(followed.later(5)) == "succeeded"


def test_a_pod_that_vanished_while_nobody_looked_is_gone(followed):
    followed.hear(*listed(job(), running(0), running(1)))
    followed.hear(streams.Listed(POD, [running(1)]))

    assert followed.reader.first_pod == "" and not followed.reader.has_begun and followed.is_over("pod-0")


# -- what is told -------------------------------------------------------------------------------------


def test_it_is_told_what_the_run_waits_for_once_for_each_news(followed):
    unschedulable = condition("PodScheduled", "Unschedulable", "0/3 nodes are available", "False")
    followed.cluster.said = [{"reason": "FailedCreate", "message": "exceeded quota"}]
    for news in (
        [*listed(SUSPENDED)],
        [],
        [changed(job())],
        [changed(pod(0, unschedulable))],
        [],
        [changed(running(0))],
    ):
        followed.hear(*news)

    assert followed.told == ["suspended", "exceeded quota", "pod-0: 0/3 nodes are available"]


def test_a_gap_is_told_with_its_pod(followed):
    followed.hear(*listed(job(), running(0)), streams.Gap("pod-0"))

    assert followed.told == [f"the log of {NAME}-0-x has a gap: its node has dropped older lines"]


def test_hostile_objects_and_lines_end_nothing(followed):
    odd = [{"kind": "Pod"}, {"kind": "Pod", "metadata": []}, {**running(0), "spec": 1}, {**running(0), "status": [1]}]
    followed.hear(
        *listed(job(), *odd, running(1)), *(changed(one) for one in odd), streams.LogEnd("none"), streams.Gap("none")
    )
    lines = [
        *says("pod-0", "result", {"problems": 1}),
        *says("none", "result", SUCCESS),
        *says("pod-0", "event", {"event": []}),
    ]

    assert followed.hear(*lines, streams.Line("pod-0", None, b"\xff" * 100)) is None
    assert followed.frames == []


# -- without waiting ----------------------------------------------------------------------------------


def test_what_there_is_is_read_without_waiting_for_more(read):
    assert read.hear(*listed(job(), running(0), waiting(1)), *says("pod-0", "rank-0.out", b"x\n")) is None
    result = read.hear(streams.LogEnd("pod-0"))

    assert result["detached"] and read.output() == b"x\n" and read.caught_up == 1


def test_a_server_that_stays_away_ends_what_does_not_wait(read):
    assert read.hear(streams.Trouble(AWAY)) is None
    assert read.later(clusters.ANSWER_SECONDS - 1) is None
    with pytest.raises(Refused, match="it is away"):
        read.later(2)


def test_a_server_that_returns_in_time_ends_nothing(read):
    read.hear(streams.Trouble(AWAY))
    read.hear(streams.Trouble(None), *listed(job(), running(0)))
    assert read.later(100) is None

    assert read.hear(streams.LogEnd("pod-0"))["detached"]


def test_no_thread_outlives_the_following(monkeypatch):
    class Listening(FakeCluster):
        def list(self, kind, selector):
            has_begun.set()
            raise Refused("SCHEDULER_UNREACHABLE", "it is away")

    def own():
        return set(threading.enumerate()) - before

    # Threads of earlier tests may still be ending.
    has_begun, before = threading.Event(), set(threading.enumerate())
    monkeypatch.setattr(streams, "_PAUSES", (1000.0,))
    with Following(Listening(), RUN, Listener(list, str, lambda: None), True):
        assert has_begun.wait(60) and own()

    assert not own()
