# SPDX-License-Identifier: Apache-2.0
"""The last word of a run in the status of its first pod, where a process of the job can write as well."""

import json
import random

import pytest
from hypothesis import given

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import word
from tests.unit.cluster_objects import COMPLETE, FAILED, JSON, condition, ended, job, running
from tests.unit.module_utils import odd_data

GOOD = {"exit_code": 0, "by_scheduler": False, "began": 1.0, "ended": 2.0, "joined": 4, "restarts": 0}
FIRST = {
    "host": "pod-1",
    "rank": 11,
    "signal": None,
    "message": "rank 11 failed: exit code 1",
    "error": "OSError: full",
}
BAD = {**GOOD, "exit_code": 6, "code": "RANK_FAILED", "first": FIRST}


def test_a_run_that_succeeded():
    result = word.of_cluster(COMPLETE, [ended(1), ended(0, 0, GOOD)])

    assert result == {"detached": False, "restarts": [], "problems": [], "exit_code": 0, "ended": 2.0}


def test_a_run_that_failed():
    result = word.of_cluster(FAILED, [ended(0, 6, BAD), ended(1)])
    (entry,) = result["problems"]

    assert (result["exit_code"], result["ended"]) == (6, 2.0)
    assert (entry["code"], entry["host"], entry["rank"], entry["error"]) == (
        "RANK_FAILED",
        "pod-1",
        11,
        "OSError: full",
    )
    assert "signal" not in entry


UNPROVEN = {
    "the pod was killed": ended(0, 137, GOOD),
    "the pod was out of memory": ended(0, 137, GOOD, "OOMKilled"),
    "the pod ended in another way": ended(0, 6, GOOD),
    "the pod is said to have ended, but not how": ended(0, None, GOOD),
    "the pod still runs": running(0),
    "it is the word of another pod": ended(1, 0, GOOD),
    "it has an exit code": ended(0, 0, {**GOOD, "exit_code": 6}),
    "it has a problem": ended(0, 0, {**BAD, "exit_code": 0}),
    "it has a problem without a code": ended(0, 0, {**GOOD, "first": FIRST}),
    "it is cut": ended(0, 0, json.dumps(GOOD)[:-1]),
    "it is nested": ended(0, 0, "[" * 50000),
    "it is empty": ended(0, 0, {}),
    "it is true": ended(0, 0, "true"),
    "its exit code is false": ended(0, 0, {**GOOD, "exit_code": False}),
    "its exit code is a text": ended(0, 0, {**GOOD, "exit_code": "0"}),
}


@pytest.mark.parametrize("case", UNPROVEN)
def test_success_is_not_believed_without_proof(case):
    for found in (COMPLETE, FAILED):
        assert word.of_cluster(found, [UNPROVEN[case]])["exit_code"] != 0


def test_a_failure_is_believed_although_its_pod_was_killed_afterwards():
    assert word.of_cluster(FAILED, [ended(0, 137, BAD)])["problems"][0]["code"] == "RANK_FAILED"


def test_the_cluster_says_why_it_ended_a_run_that_knows_only_that():
    told = {
        **BAD,
        "exit_code": 130,
        "code": "RUN_STOPPED",
        "by_scheduler": True,
        "first": {"message": "the scheduler ended the job"},
    }
    deadline = job(condition("Failed", "DeadlineExceeded"))

    assert word.of_cluster(deadline, [ended(0, 130, told)])["problems"][0]["code"] == "TIMED_OUT"
    assert word.of_cluster(FAILED, [ended(0, 130, told)])["problems"][0]["code"] == "RUN_STOPPED"


def test_odd_words_neither_raise_nor_succeed():
    source, taken = random.Random(3), 0
    for _ in range(2000):
        try:
            said = json.dumps(odd_data.changed(BAD, source))
        except (TypeError, ValueError):
            continue
        result = word.of_cluster(FAILED, [ended(0, 6, said)])
        taken += word.verdict([ended(0, 6, said)]) is not None
        assert 0 < result["exit_code"] < 256 and len(result["problems"]) == 1
        json.dumps(result).encode()

    assert taken > 100


@given(JSON)
def test_no_word_of_chance_is_a_success(found):
    assert word.of_cluster(COMPLETE, [ended(0, 0, found)])["problems"]
