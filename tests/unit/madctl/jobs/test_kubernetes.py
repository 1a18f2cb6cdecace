# SPDX-License-Identifier: Apache-2.0
"""The verdict about a run in a cluster."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from madctl.errors import ExitCode, RunError, UsageError
from madctl.jobs import kubernetes
from tests.unit.cluster_objects import COMPLETE, FAILED, RUN, SUSPENDED, FakeCluster, condition, ended, job, running
from tests.unit.madctl import cluster_runs

GOOD = {"exit_code": 0, "by_scheduler": False, "began": 1.0, "ended": 2.0, "joined": 4}
FIRST = {"host": "pod-1", "rank": 11, "message": "rank 11 failed: exit code 1", "error": "OSError: full"}
BAD = {**GOOD, "exit_code": 6, "code": "RANK_FAILED", "first": FIRST}
VERDICTS = [
    ((None,), "unknown", None, "it is no longer in the cluster"),
    ((SUSPENDED,), "queued", None, "suspended"),
    ((job(), running(0)), "running", None, None),
    ((None, running(0)), "running", None, None),
    ((COMPLETE, ended(0, 0, GOOD)), "succeeded", 0, None),
    ((COMPLETE, ended(0, 0)), "failed", 7, "the job ended without a record"),
    ((FAILED, ended(0, 6, BAD)), "failed", 6, "pod-1 rank 11: exit code 1"),
    ((job(condition("Failed", "DeadlineExceeded")),), "failed", 8, "the deadline of the job passed"),
    ((None, ended(0, 137)), "stopped", 130, None),
]


@pytest.mark.parametrize(("objects", "status", "code", "cause"), VERDICTS)
def test_the_verdict_about_a_run(monkeypatch, objects, status, code, cause):
    cluster_runs.reach(monkeypatch, FakeCluster(*objects))
    found = kubernetes.of({}, RUN, {"shape": "script", "runner": "torchrun"}).verdict

    assert (found.status, found.exit_code, found.cause) == (status, code, cause)


def test_what_failed_first_is_named(monkeypatch):
    cluster_runs.reach(monkeypatch, FakeCluster(FAILED, ended(0, 6, BAD)))
    found = kubernetes.of({}, RUN, {}).verdict

    assert (found.host, found.rank, found.error) == ("pod-1", 11, "OSError: full")
    assert (found.began, found.ended, found.joined) == (1.0, 2.0, 4)


@pytest.mark.parametrize(("code", "error"), [("SCHEDULER_UNREACHABLE", RunError), ("SCHEDULER_REFUSED", UsageError)])
def test_errors_are_those_of_madctl(code, error):
    cluster = FakeCluster()
    cluster.down = Refused(code, "no", "do it")

    for call in (
        lambda: kubernetes.look(cluster, RUN),
        lambda: kubernetes.stop(cluster, RUN),
        lambda: kubernetes.delete(cluster, RUN),
    ):
        with pytest.raises(error) as caught:
            call()
        (entry,) = caught.value.problems
        assert (entry.code, entry.message, entry.remedy) == (code, "no", "do it")
        assert caught.value.exit_code in (ExitCode.UNREACHABLE, codes.exit_code_of([code]))


def test_a_refusal_to_say_how_a_run_stands_is_unknown_and_not_an_end(monkeypatch):
    cluster = FakeCluster(COMPLETE)
    cluster.down = Refused("SCHEDULER_REFUSED", "it is forbidden", status=403)
    cluster_runs.reach(monkeypatch, cluster)

    found = kubernetes.of({}, RUN, {})
    assert (found.verdict.status, found.unknown.code) == ("unknown", "SCHEDULER_REFUSED")
