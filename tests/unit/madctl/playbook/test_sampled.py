# SPDX-License-Identifier: Apache-2.0
"""Where samples of a run come from, and which runs have none."""

import json
import time
from dataclasses import replace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import Verdict
from madctl.errors import ExitCode, RunError, UsageError
from madctl.jobs.standing import Standing
from madctl.nodes import reach
from madctl.playbook import ask, job_verbs, sampled
from madctl.records import record_store
from tests.unit.madctl.remembered_runs import PLAN, RUN, asked
from tests.unit.module_utils import measured

pytestmark = pytest.mark.usefixtures("own_records")


def remembered(*names, sources=(), **more):
    nodes = [{"host": host, "node_rank": rank, "run_dir": f"/r/{RUN}"} for rank, host in enumerate(names)]
    record = record_store.create({**PLAN, "run_id": RUN, "nodes": nodes}, asked(*names, sources=sources), ["x"])
    return replace(record, **more)


def refusal(record, error=UsageError):
    with pytest.raises(error) as raised, sampled.source(record):
        pass
    [problem] = raised.value.problems
    return problem


def test_a_run_in_pods_is_refused_with_what_to_use_instead():
    found = refusal(remembered("a", job={"on": "k8s", "id": "madctl-x", "namespace": "train"}))

    assert found.code == "USAGE"
    assert "kubectl top pod --namespace train" in found.remedy


def test_a_job_whose_files_are_elsewhere_is_refused():
    login = {"names": ["login1"], "inventory": {}, "sources": []}
    found = refusal(remembered("a", job={"on": "slurm", "id": "77", "place": "/x", "login": login}))

    assert "login1" in found.message
    assert "sstat -j 77" in found.remedy


def test_nodes_that_only_ansible_reaches_are_refused(monkeypatch):
    asked_for = []
    monkeypatch.setattr(ask, "nodes_of_run", lambda *given: asked_for.append(given[0]) or ({}, given[1]))
    found = refusal(remembered("a"))

    assert asked_for == ["status"]
    assert (found.code, "only Ansible" in found.message) == ("USAGE", True)


def test_a_run_whose_inventory_is_gone(monkeypatch):
    monkeypatch.setattr(reach, "ways", lambda _: {})

    assert refusal(remembered("a", sources=("/none/hosts.yml",)), RunError).code == "NODE_SILENT"
    assert ExitCode.UNREACHABLE == 4


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A run in a job of Slurm, whose directory is here; the test says how its nodes stand."""
    record = remembered("a", job={"on": "slurm", "id": "77", "place": str(tmp_path)})
    states = {}

    def stands(given):
        nodes = {host: {"state": state, "joined": 1, "exit": None} for host, state in states.items()}
        return Standing(Verdict(verdict.RUNNING), nodes, None), given

    monkeypatch.setattr(job_verbs, "stands", stands)
    (tmp_path / "nodes").mkdir()
    return record, states, tmp_path / "nodes"


def write(place, host, *samples):
    text = json.dumps({"interval_seconds": 10.0, "samples": list(samples)})
    (place / f"{host}.samples.json").write_text(text)


def test_samples_of_a_job_are_in_its_directory(job):
    record, states, place = job
    states.update(n1="running", n2="armed", n3="exited")
    write(place, "n1", measured.sample(time=time.time() - 40.0))
    write(place, "n3", measured.sample())
    with sampled.source(record) as source:
        nodes = source.nodes

        assert {host: (node.state, node.sample is not None) for host, node in nodes.items()} == {
            "n1": ("running", True),
            "n2": ("armed", False),
            "n3": ("exited", True),
        }
        assert 39 < source.loop.time() - nodes["n1"].heard < 60
        assert (source.is_settled, source.is_over) == (True, False)
        states.update(dict.fromkeys(states, "exited"))
        source.loop.until(lambda: source.is_over, 20.0)
        assert source.is_over


def test_a_job_that_has_not_begun_is_not_over(job):
    with sampled.source(job[0]) as source:
        assert (source.nodes, source.is_over) == ({}, False)


@pytest.mark.parametrize("host", ["../../x", "a/b", "x\0y", "x\x1b[2J", "x" * 5000, ""])
def test_a_node_s_name_leads_nowhere_else(host, job):
    record, states, place = job
    states[host] = "running"
    (place.parent / "x.samples.json").write_text("{}")
    with sampled.source(record) as source:
        assert source.nodes[host].sample is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"samples": [5]}', '{"interval_seconds": 10, "samples": []}'])
def test_what_is_no_file_of_samples_is_none(text, job):
    record, states, place = job
    states["n1"] = "running"
    (place / "n1.samples.json").write_text(text)
    with sampled.source(record) as source:
        assert source.nodes["n1"].sample is None
