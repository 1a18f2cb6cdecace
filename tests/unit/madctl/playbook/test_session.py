# SPDX-License-Identifier: Apache-2.0
"""What a session makes of results, also of those that Ansible gives for an action that broke."""

import json

import pytest

from madctl.after.wishes import Wishes
from madctl.errors import Problem
from madctl.nodes import hosts, inventory
from madctl.nodes.inventory import Targets
from madctl.playbook import report
from madctl.playbook.session import RunSession
from madctl.records import record_store
from madctl.screen.view import View
from tests import hostile
from tests.unit.http_answers import served

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


def final(**more):
    nodes = [{**node, "exit_code": 1} for node in NODES]
    summary = {"nodes": nodes, "start_spread_seconds": 0.0, "victims": {}, "duration_seconds": 43.0}
    problem = {"code": "RANK_FAILED", "host": "node1", "message": "rank 0 failed: swordfish", "remedy": None, "rank": 0}
    ended = {"summary": summary, "run_id": PLAN["run_id"], "exit_code": 6, "problems": [problem], "detached": False}
    return {**ended, **more}


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    """A command that fails, and an address that takes what it gets, which is returned beside it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served(lambda _: (200, b"ok")) as server:
        address = f"http://127.0.0.1:{server.server_port}/T0KEN"
        yield Wishes(f"cat > {tmp_path}/got; echo said; exit 3", address), tmp_path / "got", server.asked


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_done_after_the_end_is_told_without_secrets_and_changes_no_exit_code(session, wanted, as_json, capsys):
    wishes, got, posted = wanted
    session.view = View(("node1", "node2"), as_json=as_json, stages=(), secrets=("swordfish",))
    session.on_task("madctl.multinode.run_launch", "node1", final())
    assert report.report_run(session, "launch", as_json=as_json, wanted=wishes) == 6
    said = capsys.readouterr()

    (_, _, body), run = *posted, json.loads(got.read_text())
    assert run == json.loads(body)["result"] and (run["status"], run["exit_code"]) == ("failed", 6)
    assert json.loads(body)["text"] == f"madctl: {PLAN['run_id']} failed after 43 s: node1 rank 0: ***"
    assert "swordfish" not in body.decode() + got.read_text() + said.out + said.err
    assert "T0KEN" not in said.out + said.err
    assert said.err.splitlines()[-2:] == [
        "on-end  said",
        "notice: --on-end: the command ended with exit code 3; the run itself is not affected [ON_END_FAILED]",
    ]
    if as_json:
        assert [one["code"] for one in json.loads(said.out)["warnings"]] == ["ON_END_FAILED"]


def test_nothing_is_done_before_the_end(session, wanted, capsys):
    wishes, got, posted = wanted
    session.on_task("madctl.multinode.run_launch", "node1", final(exit_code=0, problems=[], detached=True))
    assert report.report_run(session, "launch", as_json=True, wanted=wishes) == 0
    told = json.loads(capsys.readouterr().out)

    assert (told["status"], [one["code"] for one in told["warnings"]]) == (
        "running",
        ["NOTIFY_FAILED", "ON_END_FAILED"],
    )
    assert told["warnings"][0]["remedy"] == f"madctl attach {PLAN['run_id']} --notify …"
    assert not got.exists() and posted == []


def test_nothing_is_done_after_a_dry_run(session, wanted, capsys):
    wishes, got, posted = wanted
    session.judged = {"plan": {**PLAN, "nodes": []}}
    report.report_run(session, "launch", as_json=True, dry_run=True, wanted=wishes)

    assert not got.exists() and posted == []


@pytest.mark.parametrize("late", ["result", "event"])
def test_a_dry_run_shows_the_whole_plan_whichever_channel_is_later(session, late, capsys):
    session.record, session.wanted = None, {"madctl_env": {}, "madctl_dry_run": True}
    nodes = [{**node, "env": {}, "argv": ["train"]} for node in NODES]
    event = {"event": "planned", "plan": PLAN, "warnings": [], "without_ifconfig": []}
    news = {
        "event": lambda: session.on_event(event, b""),
        "result": lambda: session.on_task(
            "madctl.multinode.run_launch", "node1", {"planned": True, "plan": {**PLAN, "nodes": nodes}}
        ),
    }
    for name in sorted(news, key=late.__eq__):
        news[name]()
    assert report.report_run(session, "launch", as_json=True, dry_run=True) == 0

    assert [node["argv"] for node in json.loads(capsys.readouterr().out)["data"]["nodes"]] == [["train"]] * 2


def test_a_notice_before_the_plan_is_in_the_result(session, capsys):
    session.record, session.wanted = None, {"madctl_dry_run": True}
    session.view.notice(Problem("OPTION_PASSED_ON", "--nodes goes to train.py"))
    warning = {"code": "NO_GPU", "host": None, "message": "no GPU on any node"}
    session.on_event({"event": "planned", "plan": PLAN, "warnings": [warning], "without_ifconfig": []}, b"")
    report.report_run(session, "launch", as_json=True, dry_run=True)

    told = json.loads(capsys.readouterr().out)["warnings"]
    assert [one["code"] for one in told] == ["OPTION_PASSED_ON", "NO_GPU"]


def test_a_launch_that_a_check_refused_is_told_by_its_name(session, wanted):
    wishes, _, posted = wanted
    session.record, session.wanted = None, {"madctl_name": "big"}
    problem = {"code": "PORT_IN_USE", "host": "node1", "message": "port 29500 is in use", "remedy": None}
    session.on_task("madctl.multinode.run_launch", "node1", {"checks": {}, "problems": [problem]})

    assert report.report_run(session, "launch", as_json=True, wanted=wishes) == 3
    text = f"madctl: big ({PLAN['run_id']}) failed: node1: port 29500 is in use"
    assert json.loads(posted[0][2])["text"] == text
