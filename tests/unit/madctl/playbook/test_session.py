# SPDX-License-Identifier: Apache-2.0
"""What a session makes of results, also of those that Ansible gives for an action that broke."""

import json

import pytest

from madctl.nodes import hosts, inventory
from madctl.nodes.inventory import Targets
from madctl.playbook import report
from madctl.playbook.session import RunSession
from madctl.records import record_store
from madctl.screen.view import View
from tests import hostile

NODES = [
    {"host": host, "node_rank": rank, "run_dir": "/r", "address": None, "interface": "eno1", "nproc_per_node": 1}
    for rank, host in enumerate(("node1", "node2"))
]
PLAN = {
    "run_id": "20261129-120000-1a2b3c4d",
    "runner": "torchrun",
    "shape": "script",
    "master_addr": "a",
    "master_port": 1,
    "nnodes": 2,
    "world_size": 2,
    "nodes": NODES,
}


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A launch whose run is remembered."""
    monkeypatch.setattr(record_store, "directory", lambda: tmp_path)
    built = inventory.build([hosts.Host("node1"), hosts.Host("node2")], None, None, "")
    made = RunSession(Targets(("node1", "node2"), built), {}, View(("node1", "node2"), as_json=True))
    made.judged = {"plan": PLAN}
    made.remember(record_store.create(PLAN, made.nodes, []))
    return made


BROKEN = [
    {"failed": True, "msg": "Unexpected failure during module execution: 'nodes'", "exception": "Traceback"},
    {"failed": True},
    {},
    {"unreachable": True, "msg": "gone"},
]


@pytest.mark.parametrize("result", BROKEN)
def test_an_action_that_broke_is_no_end_of_a_run(session, result, capsys):
    session.on_task("madctl.multinode.run_launch", "node1", result)

    assert report.report_run(session, "launch", as_json=True) == 1
    told = capsys.readouterr()
    data = json.loads(told.out)
    assert (data["status"], data["exit_code"]) == ("failed", 1) and len(data["data"]["nodes"]) == 2
    assert f"the run may still be running; see madctl status {PLAN['run_id']}" in told.err
    assert record_store.load(PLAN["run_id"]).status == "running"


def test_a_line_of_a_playbook_is_not_prefixed_twice(session, capsys):
    session.on_task("madctl.multinode.run_launch", "node1", {"failed": True, "msg": "madctl: node1: x [PLAY_PARTED]"})
    report.report_run(session, "launch", as_json=True)

    assert any(line.startswith("madctl: node1: x [PLAY_PARTED]; ") for line in capsys.readouterr().err.splitlines())


@pytest.mark.fuzz
def test_no_result_of_a_node_s_task_breaks_the_session(session, rounds):
    sample = json.dumps(
        {
            "changed": False,
            "failed": True,
            "rc": 1,
            "msg": "a\nb",
            "stderr": "x",
            "node": {"hostname": "n"},
            "problem": {},
        }
    )
    for data in hostile.mutated([sample.encode()], rounds):
        try:
            result = json.loads(data)
        except (ValueError, RecursionError):
            continue
        if isinstance(result, dict):
            session.on_task("madctl.multinode.node_info", "node1", result)
            session.on_task("ansible.builtin.package", "node1", result)
            session.on_task("madctl.multinode.run_launch", "node1", {**result, "problems": []})
    assert session.final is None
