# SPDX-License-Identifier: Apache-2.0
"""What is asked about a run, and what becomes of a page where nobody answers."""

import argparse
import html
import json
from dataclasses import replace

import pytest

from madctl.commands import report
from madctl.errors import ExitCode, Problem, RunError
from madctl.nodes.inventory import Targets
from madctl.playbook import ask
from madctl.playbook.session import RunSession
from madctl.records import record_store, run_story
from madctl.report import beside, gathering, writing
from tests.unit.madctl.remembered_runs import PLAN, RUN, asked

LOST = {"event": "lost", "host": "b", "message": "no node reaches it"}
NODES = [{"host": host, "node_rank": rank, "nproc_per_node": 1} for rank, host in enumerate("ab")]


@pytest.fixture(autouse=True)
def remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    record = record_store.create({**PLAN, "run_id": RUN, "nodes": NODES}, asked("a", "b"), ["train.py"])
    record_store.save(record)
    return record


@pytest.fixture
def read(monkeypatch):
    """Play the reading of logs: note what is read, and say what nodes would."""
    seen = []

    def run(session):
        seen.append(session.wanted)
        for node in session.wanted["madctl_plan"]["nodes"]:
            line = {"event": "log", "log": f"rank-{node['node_rank']}.err", "offset": 0, "host": node["host"]}
            session.on_event(line, f"error of {node['host']}\n".encode())
        session.final = {"exit_code": 0}

    monkeypatch.setattr(RunSession, "run", run)
    return seen


def answers(monkeypatch, nodes, problems=()):
    said = []

    def play(playbook, targets, variables):
        said.append((playbook, targets.names, [node["host"] for node in variables["madctl_plan"]["nodes"]]))
        return {"nodes": nodes, "problems": list(problems)}

    monkeypatch.setattr(ask, "nodes", play)
    return said


def exited(code, **more):
    how = {"outcome": "exited", "exit_code": code, "signal": None, "stopped": False, "time": 100.0}
    return {"state": "exited", "joined": 1, "exit": {**how, "ranks_joined": 1, "apart": [], **more}, "began": 50.0}


FAILED = {"event": "rank_exit", "rank": 1, "exit_code": 3, "signal": None, "seq": 4, "time": 99.0}


def test_only_nodes_that_answered_are_read_and_the_failing_rank_gets_the_most(monkeypatch, read, remembered):
    silent = Problem("NODE_SILENT", "it did not answer", "a")
    answers(monkeypatch, {"b": {**exited(1), "failure": FAILED}}, [silent])
    monkeypatch.setattr(gathering, "_LINES", 100)
    facts = gathering.gather(remembered)

    assert [[node["host"] for node in one["madctl_plan"]["nodes"]] for one in read] == [["b"], ["b"]]
    assert [(one["madctl_lines"], one["madctl_show_ranks"]) for one in read] == [(40, []), (1000, ["1-1"])]
    assert (facts.host, facts.rank, facts.missing) == ("b", 1, [silent])
    assert [(log.host, log.rank, log.lines) for log in facts.logs] == [("b", "1", ("error of b",))]


def test_nodes_that_have_just_not_answered_are_not_asked_again_and_the_record_keeps_them(monkeypatch, read, remembered):
    said = answers(monkeypatch, {"a": exited(0)})
    facts = gathering.gather(remembered, ["b"])

    assert said == [("status", ("a",), ["a"])]
    assert [problem.host for problem in facts.missing] == ["b"]
    assert record_store.load(RUN).targets["names"] == ["a", "b"]


@pytest.mark.parametrize("why", ["no inventory", "no Ansible", "all silent"])
def test_without_any_node_the_page_has_what_this_machine_saw(monkeypatch, read, remembered, tmp_path, why):
    keeper = run_story.Keeper(0.0)
    keeper.begin(RUN, remembered.plan, 1)
    keeper.take(LOST, 100.0)
    if why == "no inventory":
        record_store.save(replace(remembered, targets={**remembered.targets, "sources": ["/absent/hosts"]}))

    def play(*_):
        raise RunError(ExitCode.INTERNAL, Problem("INTERNAL", "Ansible ended without a result"))

    monkeypatch.setattr(ask, "nodes", play)
    if why == "all silent":
        answers(monkeypatch, {}, [Problem("NODE_SILENT", "it did not answer", host) for host in "ab"])
    code = report.run(argparse.Namespace(run_id=RUN, to=None, output="text", command="report"))
    text = html.unescape((tmp_path / f"madctl-{RUN}.html").read_text())

    assert code == 0 and read == []
    assert "Incomplete." in text and "b is lost: no node reaches it" in text


def test_the_answer_as_json_names_the_page_and_what_is_missing(monkeypatch, read, remembered, tmp_path, capsys):
    answers(monkeypatch, {"b": exited(0)}, [Problem("NODE_SILENT", "it did not answer", "a")])
    options = argparse.Namespace(run_id=None, to="x.html", output="json", command="report")

    assert report.run(options) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["data"]["report"] == str(tmp_path / "x.html")
    assert found["data"]["missing"] == ["a: it did not answer [NODE_SILENT]"]
    assert [one["code"] for one in found["warnings"]] == ["NODE_SILENT"] and found["errors"] == []


def test_an_interrupted_reading_writes_nothing(monkeypatch, read, remembered, tmp_path):
    answers(monkeypatch, {"a": exited(0), "b": exited(0)})

    def run(session):
        session.interrupted = True

    monkeypatch.setattr(RunSession, "run", run)
    with pytest.raises(RunError) as caught:
        report.run(argparse.Namespace(run_id=None, to="x.html", output="text", command="report"))
    assert caught.value.exit_code == ExitCode.INTERRUPTED
    assert not (tmp_path / "x.html").exists()


def test_a_file_of_that_name_beside_what_is_collected_stays(monkeypatch, read, remembered, tmp_path):
    answers(monkeypatch, {"a": exited(0), "b": exited(0)})
    place, trouble = beside.write(remembered, str(tmp_path))
    assert (place, trouble) == (str(tmp_path / "report.html"), [])
    assert beside.write(remembered, str(tmp_path)) == (place, []), "its own is replaced"
    (tmp_path / "report.html").write_text("mine")

    place, (problem,) = beside.write(remembered, str(tmp_path))
    assert (place, problem.code) == (None, "DEST_IN_USE")
    assert (tmp_path / "report.html").read_text() == "mine"
    assert not writing.is_replaced(str(tmp_path), RUN)


def test_a_page_that_cannot_be_made_does_not_hide_what_was_collected(monkeypatch, remembered, tmp_path):
    def broken(*_):
        raise KeyError("x")

    monkeypatch.setattr(beside.page, "render", broken)
    monkeypatch.setattr(beside.gathering, "gather", lambda *_: None)
    place, (problem,) = beside.write(remembered, str(tmp_path))

    assert (place, problem.code) == (None, "INTERNAL") and "KeyError" in problem.message


def test_each_log_gets_its_share():
    def plan(nodes, ranks):
        return {"world_size": nodes * ranks, "nodes": [{}] * nodes}

    assert gathering.share(plan(1, 1)) == gathering.MOST_LINES
    assert gathering.share(plan(16, 8)) == 69
    assert gathering.share(plan(1000, 8)) == 40


def test_reach_is_not_needed_for_hosts_that_are_left_out(remembered):
    found = gathering._without(remembered, ["b"])

    assert isinstance(found.reach(), Targets) and found.reach().names == ("a",)
