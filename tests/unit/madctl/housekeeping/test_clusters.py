# SPDX-License-Identifier: Apache-2.0
"""Which runs are deleted from clusters: those that have ended for long enough, for all that is known."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from madctl.housekeeping.clusters import Clusters
from tests.unit.cluster_objects import COMPLETE, FAILED, RUN, SUSPENDED, FakeCluster, ended, job, running, waiting
from tests.unit.madctl import cluster_runs

pytestmark = cluster_runs.needs_nothing

GOING = {
    "it runs": (job(), running(0)),
    "its pods have ended, its job has not": (job(), ended(0)),
    "it waits": (job(), waiting(0)),
    "it waits in a queue": (SUSPENDED,),
    "it has no pods": (job(),),
    "its job is gone, its pods run": (None, running(0)),
    "its job is gone, a pod waits": (None, ended(0, 6), waiting(1)),
    "its job has failed, a pod runs on": (FAILED, ended(0, 6), running(1)),
}


def clean(monkeypatch, cluster, days=0.0, age=30.0, dry_run=False):
    cluster_runs.reach(monkeypatch, cluster)
    found = Clusters([cluster_runs.remember(age)], days, dry_run)
    found.clean()
    return found


@pytest.mark.parametrize("case", GOING)
def test_a_run_that_has_not_ended_is_never_deleted(monkeypatch, case):
    cluster = FakeCluster(*GOING[case])
    found = clean(monkeypatch, cluster)

    assert cluster.deleted == [] and found.over() == [] and found.lines() == []


@pytest.mark.parametrize("objects", [(COMPLETE, ended(0, 0)), (FAILED, ended(0, 6)), (COMPLETE,)])
def test_a_run_that_has_ended_is_deleted(monkeypatch, objects):
    cluster = FakeCluster(*objects)
    found = clean(monkeypatch, cluster)

    assert len({kind for kind, _ in cluster.deleted}) == 4 and [record.run_id for record in found.over()] == [RUN]
    assert found.lines() == [f"namespace train of a: deleted {RUN}"]


def test_a_young_run_stays(monkeypatch):
    told = {"exit_code": 0, "ended": cluster_runs.time.time() - 3600}
    cluster = FakeCluster(COMPLETE, ended(0, 0, told))

    assert clean(monkeypatch, cluster, days=1.0).over() == [] and cluster.deleted == []
    assert clean(monkeypatch, FakeCluster(None), days=1.0, age=0.5).over() == []


def test_a_dry_run_deletes_nothing(monkeypatch):
    cluster = FakeCluster(COMPLETE, ended(0))
    found = clean(monkeypatch, cluster, dry_run=True)

    assert cluster.deleted == [] and found.lines() == [f"namespace train of a: would delete {RUN}"]


@pytest.mark.parametrize("code", ["SCHEDULER_UNREACHABLE", "SCHEDULER_REFUSED"])
def test_a_run_that_cannot_be_asked_for_stays(monkeypatch, code):
    cluster = FakeCluster(COMPLETE, ended(0))
    cluster.down = Refused(code, "no")
    found = clean(monkeypatch, cluster)

    assert found.over() == [] and [notice.message for notice in found.notices] == ["namespace train of a: no"]
