# SPDX-License-Identifier: Apache-2.0
"""Commands about a run in a cluster: what is proven before it is said, and what is not touched without proof."""

import json
from argparse import Namespace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from madctl.commands import stop as stop_command
from madctl.jobs import kubernetes
from madctl.playbook import kubernetes_verbs, schedulers
from madctl.records import record_store
from tests.unit.cluster_objects import COMPLETE, NAME, RUN, FakeCluster, ended, job, running, waiting
from tests.unit.madctl import cluster_runs

pytestmark = cluster_runs.needs_nothing
AWAY = Refused("SCHEDULER_UNREACHABLE", "it is away")
FORBIDDEN = Refused("SCHEDULER_REFUSED", "it is forbidden", status=403)


class Clock:
    """Time passes only where a command waits, and then something may happen."""

    def __init__(self, monkeypatch):
        self.now, self.happens = 1000.0, []
        monkeypatch.setattr(kubernetes_verbs.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(kubernetes_verbs.time, "sleep", self.sleep)

    def sleep(self, seconds):
        self.now += max(seconds, 0.001)
        if self.happens:
            self.happens.pop(0)()


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def stop(monkeypatch, capsys, clock):
    def run(cluster, force=False):
        cluster_runs.reach(monkeypatch, cluster)
        record = cluster_runs.remember()
        options = Namespace(command="stop", force=force, output="json", all=False, runs=[record.run_id])
        code = stop_command.run(options)
        return code, json.loads(capsys.readouterr().out)

    return run


def ends(cluster, *pods, found=None):
    def happen():
        cluster.pods, cluster.job = list(pods), found or cluster.job

    return happen


def test_a_run_that_obeys_is_stopped_once_all_its_pods_have_ended(stop, clock):
    cluster = FakeCluster(job(), running(0), running(1))
    clock.happens = [
        ends(cluster, ended(0, 130), running(1)),
        ends(cluster, ended(0, 130), ended(1)),
        ends(cluster, ended(0, 130), ended(1), found=COMPLETE),
    ]
    code, answer = stop(cluster)

    assert (code, answer["status"]) == (0, "stopped") and clock.happens == []
    assert cluster.told == [(f"{NAME}-0-x", "madctl.dev/order", "stop")] and cluster.deleted == []
    assert record_store.read(RUN).status in ("stopped", "failed")


class Keeping(FakeCluster):
    """Deletes its job, and keeps a pod: its node does not answer."""

    def delete(self, kind, name):
        pods = self.pods
        super().delete(kind, name)
        self.pods = pods
        return True


def test_a_pod_that_is_left_is_no_stop(stop):
    cluster = Keeping(job(), ended(0, 130), running(1, node="node-b"))
    code, answer = stop(cluster)

    assert code == 9 and answer["errors"][0]["code"] == "STOP_UNVERIFIED"
    assert f"pod {NAME}-1-x on node-b has not ended" in answer["errors"][0]["message"]
    assert record_store.read(RUN).status not in ("stopped", "succeeded")


def test_a_run_that_does_not_obey_is_deleted(stop, clock):
    cluster = FakeCluster(job(), running(0), running(1))
    code, _ = stop(cluster, force=True)

    assert code == 0 and cluster.told[0][2] == "kill" and clock.now > 1000 + 20
    assert {kind for kind, _ in cluster.deleted} == {"Job", "Service", "ConfigMap", "Secret"}
    assert record_store.read(RUN).status == "stopped"


def test_a_run_that_has_not_begun_is_deleted_at_once(stop):
    cluster = FakeCluster(job(), waiting(0, "ErrImagePull"))

    assert stop(cluster)[0] == 0 and cluster.told == [] and cluster.job is None


def test_a_run_of_which_nothing_is_there_leaves_no_secret_either(stop):
    cluster = FakeCluster(None)

    assert stop(cluster)[0] == 0 and {kind for kind, _ in cluster.deleted} >= {"Secret", "ConfigMap", "Service"}


@pytest.mark.parametrize("objects", [(None, running(0)), (COMPLETE, running(1))])
def test_a_pod_without_a_job_that_runs_is_not_forgotten(stop, objects):
    cluster = FakeCluster(*objects)
    code, _ = stop(cluster)

    assert code == 0 and cluster.deleted and cluster.pods == []


@pytest.mark.parametrize("error", [AWAY])
def test_a_server_that_does_not_answer_is_no_proof(stop, error):
    cluster = FakeCluster(job(), running(0))
    cluster.down = error
    code, answer = stop(cluster)

    assert code != 0 and answer["errors"][0]["code"] == "SCHEDULER_UNREACHABLE"
    assert record_store.read(RUN).status not in ("stopped", "succeeded")


def test_a_server_that_is_away_for_a_moment_is_asked_again(stop, clock):
    cluster = FakeCluster(job(), running(0))

    def away():
        cluster.down = AWAY

    def back():
        cluster.down, cluster.pods, cluster.job = None, [ended(0, 130)], COMPLETE

    clock.happens = [away, back]

    assert stop(cluster)[0] == 0


def test_the_scheduler_of_a_run_has_its_commands(monkeypatch):
    record = cluster_runs.remember()

    assert schedulers.verbs(record) is kubernetes_verbs
    for name in ("stands", "planned", "stop", "follower", "reader"):
        assert callable(getattr(schedulers.verbs(record), name))


def test_a_run_stands_unknown_where_nothing_answers(monkeypatch):
    cluster = FakeCluster(job(), running(0))
    cluster.down = AWAY
    cluster_runs.reach(monkeypatch, cluster)
    found, _ = kubernetes_verbs.stands(cluster_runs.remember())

    assert found.verdict.status == "unknown" and "it is away" in found.verdict.cause


# -- which cluster ------------------------------------------------------------------------------------


def test_a_record_keeps_the_context_in_which_the_run_was_launched(monkeypatch, tmp_path):
    cluster = FakeCluster(None)
    cluster.context = "a"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)

    assert kubernetes.place(cluster, "") == {"namespace": "train", "context": "a"}
    assert kubernetes.place(cluster, "x")["kubeconfig"] == str(tmp_path / "x")
    monkeypatch.setenv("KUBECONFIG", "x:/y")
    assert kubernetes.place(cluster, "")["kubeconfig"] == f"{tmp_path}/x:/y"


@pytest.mark.parametrize(("mode", "expected"), [(0o600, "/evil"), (0o620, None), (0o602, None)])
def test_a_record_that_others_may_write_chooses_no_kubeconfig(monkeypatch, mode, expected):
    """A kubeconfig names programs that are run."""
    cluster_runs.remember(kubeconfig="/evil")
    (record_store.directory() / f"{RUN}.json").chmod(mode)
    places = cluster_runs.reach(monkeypatch, FakeCluster(None))
    kubernetes_verbs.stands(record_store.read(RUN))

    assert places and {place.get("kubeconfig") for place in places} == {expected}
