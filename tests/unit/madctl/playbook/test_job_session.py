# SPDX-License-Identifier: Apache-2.0
"""What is remembered of a run in a job: its nodes once there is a plan, and those of a restart."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from madctl.jobs import place
from madctl.playbook import job_session

RUN_ID = "20261201-004457-b3460a1e"


@pytest.fixture
def record(tmp_path):
    arguments = {"run_id": RUN_ID, "shape": "script", "work": ["train.py"]}
    job = {"on": "slurm", "id": "7", "place": str(tmp_path), "conf": ""}
    return job_session.record_of(arguments, 3, job)


def plan(*hosts, **more):
    nodes = [{"host": host} for host in hosts]
    return {"run_id": RUN_ID, "shape": "script", "nnodes": 2, "world_size": 2, "nodes": nodes, **more}


def test_a_spare_that_replaces_a_node_is_remembered(record):
    first = job_session.with_plan(record, plan("a", "b", spares=["c"]))
    second = job_session.with_plan(first, plan("a", "c", spares=[], run_id=RUN_ID + ".1", restarts=1))

    assert (first.targets["names"], first.attempts) == (["a", "b"], 1)
    assert (second.targets["names"], second.attempts) == (["a", "c"], 2)
    assert job_session.with_plan(second, second.plan).attempts == 2


@pytest.mark.parametrize("more", [{"spares": 3}, {"spares": [{}]}, {"restarts": "x"}, {"run_id": "x"}])
def test_a_plan_that_is_none_is_not_remembered(record, more):
    assert job_session.with_plan(record, plan("a", "b", **more)) == record


def test_who_did_not_see_a_restart_looks_for_it(record, tmp_path):
    known = job_session.with_plan(record, plan("a", "b"))
    assert (job_session.is_behind(record), job_session.is_behind(known)) == (True, False)

    place.write_object(tmp_path, job_directory.PLAN, plan("a", "c", restarts=1))
    assert job_session.is_behind(known) and place.planned(tmp_path)["nodes"][1] == {"host": "c"}
