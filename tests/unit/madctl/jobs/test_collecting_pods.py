# SPDX-License-Identifier: Apache-2.0
"""What is collected of a run in a cluster: the output of its pods, and what the cluster has, without secrets."""

import json
import stat

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import pod_log
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import streams
from madctl.errors import RunError, UsageError
from madctl.jobs import collecting_pods
from tests.unit.cluster_objects import COMPLETE, NAME, RUN, FakeCluster, ended, job, running, waiting

EXIT = {
    "event": "exit",
    "seq": 1,
    "outcome": "exited",
    "exit_code": 0,
    "signal": None,
    "stopped": False,
    "ranks_joined": 1,
    "time": 5.0,
}


class Cluster(FakeCluster):
    """Its watches say nothing new."""

    def watch(self, kind, selector, version):
        self._ask()
        raise Refused("SCHEDULER_UNREACHABLE", "later")

    def get(self, kind, name):
        found = super().get(kind, name)
        return found or {"kind": kind, "data": {"a": "x"}, "binaryData": {"programs.zip": "x"}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(streams, "_PAUSES", (0.01,))
    monkeypatch.setattr(streams, "_AGAIN_SECONDS", 0.01)


def printed(*pairs):
    lines = [
        line
        for label, data in pairs
        for line in pod_log.lines(label, data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")
    ]
    return [b"2026-12-01T05:00:00.5Z " + line[:-1] for line in lines]


def test_the_output_of_each_pod_and_what_the_cluster_has_are_written(tmp_path):
    hostile = {"event": "exit", "host": "../../evil", **{name: EXIT[name] for name in EXIT if name != "event"}}
    logs = {
        f"{NAME}-0-x": printed(("rank-0.out", b"zero\n"), ("event", hostile), ("event", {**EXIT, "host": "pod-0"})),
        f"{NAME}-1-x": printed(("rank-1.err", b"one")),
    }
    found = collecting_pods.collect(
        Cluster(COMPLETE, ended(0), ended(1), waiting(2), logs=logs), RUN, tmp_path / "to", 1 << 20
    )

    assert sorted(found.nodes) == ["pod-0", "pod-1", "pod-2"] and found.problems == []
    texts = {path.name: path.read_bytes() for path in (tmp_path / "to").rglob("rank-*") if path.is_file()}
    assert texts["rank-0.out"] == b"zero\n" and texts["rank-1.err"] == b"one"
    assert json.loads((tmp_path / "to" / "pod-2" / "pod.json").read_text())["metadata"]["name"] == f"{NAME}-2-x"
    written = json.loads((tmp_path / "to" / "objects.json").read_text())
    assert [one["kind"] for one in written] == ["Job", "Service", "ConfigMap"] and "binaryData" not in json.dumps(
        written
    )
    assert not (tmp_path.parent / "evil").exists() and not list(tmp_path.rglob("*evil*"))
    assert stat.S_IMODE((tmp_path / "to" / "pod-2").stat().st_mode) & 0o077 == 0


def test_what_still_runs_is_collected_without_waiting(tmp_path):
    cluster = Cluster(job(), running(0), logs={f"{NAME}-0-x": printed(("rank-0.out", b"so far\n"))})

    assert list(collecting_pods.collect(cluster, RUN, tmp_path / "to", 1 << 20).nodes) == ["pod-0"]


@pytest.mark.parametrize(("code", "error"), [("SCHEDULER_UNREACHABLE", RunError), ("SCHEDULER_REFUSED", UsageError)])
def test_a_cluster_that_cannot_be_asked_ends_it(tmp_path, monkeypatch, code, error):
    monkeypatch.setattr(clusters, "ANSWER_SECONDS", 0.0)
    cluster = Cluster(job(), running(0))
    cluster.down = Refused(code, "no")

    with pytest.raises(error, match="no"):
        collecting_pods.collect(cluster, RUN, tmp_path / "to", 1 << 20)
