# SPDX-License-Identifier: Apache-2.0
"""The state of a run in a cluster, by a few questions to a server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._common import pod_log
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import standing
from tests.unit.cluster_objects import (
    COMPLETE,
    ENDED_AT,
    FAILED,
    JSON,
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

LEADER = f"{NAME}-0-x"
VERDICT = {"exit_code": 0, "by_scheduler": False, "began": 1.0, "ended": 2.0, "joined": 4}
PROBLEM = {"code": "RANK_FAILED", "host": "pod-1", "message": "rank 1 failed: exit code 1", "remedy": None}
FAILURE = {
    **VERDICT,
    "exit_code": 6,
    "code": "RANK_FAILED",
    "first": {"host": "pod-1", "rank": 1, "message": "rank 1 failed: exit code 1"},
}


def said(*pairs):
    lines = [line for label, data in pairs for line in pod_log.lines(label, json.dumps(data).encode() + b"\n")]
    return {LEADER: [b"2026-12-01T05:00:00.5Z " + line[:-1] for line in lines]}


def of(found, *pods, logs=None, events=()):
    cluster = FakeCluster(found, *pods, logs=logs)
    cluster.said = list(events)
    return standing.of(cluster, RUN)


STATE = {"stage": "running", "began": 3.0, "joined": 2}
RESULT = {"problems": [], "exit_code": 0, "ended": 9.0}
STANDS = {
    "nothing is there": ((None,), {}, "unknown", None),
    "it is complete": ((COMPLETE, ended(0, 0, VERDICT), ended(1)), {}, "succeeded", None),
    "it is complete, says the cluster alone": (
        (COMPLETE, ended(0), ended(1)),
        {},
        "failed",
        "the job ended without a record",
    ),
    "it is complete, and its pods are gone": ((COMPLETE,), {}, "failed", "the job ended without a record"),
    "it has failed": ((FAILED, ended(0, 6, FAILURE)), {}, "failed", "pod-1 rank 1: exit code 1"),
    "its job is gone": ((None, ended(0, 137)), {}, "stopped", None),
    "its job is gone, its pods run": ((None, running(0), ended(1)), said(("state", STATE)), "running", None),
    "its job is gone, its pods are deleted": ((None, running(0, deleted=True)), {}, "running", None),
    "it is suspended": ((SUSPENDED,), {}, "queued", "suspended"),
    "it waits for a pod": ((job(), waiting(0, "ErrImagePull")), {}, "queued", "pod-0: ErrImagePull"),
    "it begins": ((job(), running(0), waiting(1)), said(("state", STATE)), "running", None),
    "it runs, and its log cannot be read": ((job(), running(0), running(1)), {}, "running", None),
    "it has a result, and ends": ((job(), running(0)), said(("state", STATE), ("result", RESULT)), "succeeded", None),
    "it has failed, and ends": (
        *((job(), running(0)), said(("result", {**RESULT, "exit_code": 6, "problems": [PROBLEM]}))),
        *("failed", "pod-1: rank 1 failed: exit code 1"),
    ),
    "the cluster ends it, and why is not known yet": (
        (job(), running(0)),
        said(("result", {**RESULT, "by_scheduler": True})),
        "running",
        None,
    ),
}


@pytest.mark.parametrize("case", STANDS)
def test_how_a_run_stands(case):
    objects, logs, status, cause = STANDS[case]
    found = of(*objects, logs=logs)

    assert (found.status, found.cause) == (status, cause)


def test_what_a_job_says_while_it_runs_and_after_its_end():
    going = of(job(), running(0), logs=said(("state", {**STATE, "joined": 1}), ("state", STATE)))
    assert (going.began, going.joined, going.ended, going.first_pod) == (3.0, 2, None, LEADER)

    odd = of(job(), running(0), logs=said(("state", {**STATE, "began": "x"})))
    assert (odd.status, odd.began, odd.joined) == ("running", None, None)

    over = of(COMPLETE, ended(0, 0, VERDICT))
    assert (over.began, over.joined, over.ended) == (1.0, 4, 2.0)

    assert of(job(condition("Failed")), ended(0, 1)).ended == 1796101200.0, ENDED_AT


def test_a_quota_is_told_where_there_is_no_pod():
    found = of(job(), events=[{"reason": "FailedCreate", "message": "exceeded quota: gpus"}])

    assert (found.status, found.cause, found.first_pod) == ("queued", "exceeded quota: gpus", "")


def test_nodes_are_described_by_their_last_words_and_those_are_bounded():
    record = {
        "outcome": "exited",
        "exit_code": 3,
        "signal": None,
        "ranks_joined": 2,
        "stopped": True,
        "left_behind": ["x"],
        "state": "y",
    }
    odd = {**record, "exit_code": "3"}
    nodes = of(job(), running(0), ended(1, 0, record), ended(2, 0, odd), ended(3, 4, "x"), pod(4, node="")).nodes

    assert [nodes[f"pod-{n}"]["state"] for n in range(5)] == ["running", "exited", "exited", "exited", "armed"]
    assert nodes["pod-1"]["exit"] == {
        "outcome": "exited",
        "exit_code": 3,
        "signal": None,
        "ranks_joined": 2,
        "stopped": True,
    }
    assert nodes["pod-2"]["exit"] == {"outcome": "exited", "exit_code": 0, "signal": None, "stopped": False}
    assert (nodes["pod-3"]["exit"]["exit_code"], nodes["pod-1"]["joined"], nodes["pod-4"]["node"]) == (4, 2, "")


def test_a_server_that_does_not_answer_says_nothing_of_the_run():
    cluster = FakeCluster(COMPLETE)
    cluster.down = Refused("SCHEDULER_UNREACHABLE", "it is away")

    with pytest.raises(Refused):
        standing.of(cluster, RUN)


OBJECTS = JSON.filter(lambda found: isinstance(found, dict))


@given(OBJECTS, st.lists(OBJECTS, max_size=3), st.lists(JSON, max_size=3))
def test_nothing_that_a_server_or_a_pod_says_raises_or_is_a_success(found, pods, words):
    logs = said(*(("state", one) for one in words), *(("event", one) for one in words))

    assert of(found, *pods, running(0), logs=logs).status != "succeeded"
    assert of(COMPLETE, *pods, *(ended(0, 0, one) for one in words)).status != "succeeded"


# -- the plan -----------------------------------------------------------------------------------------


def test_the_plan_is_the_one_that_was_made_last():
    def planned(port):
        return {"nodes": [{"host": "pod-0"}], "master_port": port}

    told = [{"event": "planned", "plan": planned(1), "warnings": [], "without_ifconfig": []}]
    told += [
        {"event": "restart", "plan": planned(2), "attempt": 1, "of": 1, "replaced": {}},
        {"event": "planned", "plan": 7},
    ]
    logs = said(*(("event", one) for one in told))
    cluster = FakeCluster(job(), running(0), logs=logs)
    found = standing.plan(cluster, LEADER)

    assert found is not None and found["master_port"] == 2
    assert standing.plan(FakeCluster(job(), logs={LEADER: [b"x"]}), LEADER) is None


def test_an_endless_log_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(standing, "_MOST_LINES", 3)
    logs = said(
        *[("state", {"stage": "x"})] * 3,
        ("event", {"event": "planned", "plan": {}, "warnings": [], "without_ifconfig": []}),
    )

    assert standing.plan(FakeCluster(job(), logs=logs), LEADER) is None
