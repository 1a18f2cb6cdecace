# SPDX-License-Identifier: Apache-2.0
"""Several runs are stopped at once, each is told of, and the worst of them is the exit code."""

import json

import pytest

from madctl import cli
from madctl.errors import ExitCode, Problem, RunError
from madctl.playbook import living
from madctl.records import record_store
from madctl.result import answer
from madctl.screen import terminal
from madctl.verbs import stop as stop_verb
from tests.unit.madctl.remembered_runs import PLAN, asked

NODES = [{"host": host, "node_rank": rank, "run_dir": "/r"} for rank, host in enumerate(("a", "b"))]
SILENT = Problem("STOP_UNVERIFIED", "no answer", "b", "stop the run again")
AWAY = Problem("SCHEDULER_UNREACHABLE", "the controller does not answer")


@pytest.fixture
def stopped(own_records, monkeypatch):
    """Remember runs by their names; "ended" has ended, and "over" as only its nodes know. Return which were stopped."""
    told = []

    def stop(record, is_forced):
        told.append((record.name, is_forced))
        if record.name == "away":
            raise RunError(ExitCode.UNREACHABLE, AWAY)
        if record.name == "broken":
            raise ValueError("a bug")
        problems = [SILENT] if record.name == "silent" else []
        lines = [f"run {record.run_id}: nothing is left"]
        data = {"stopped": [], "run": {"status": "succeeded" if record.name == "over" else "stopped"}}
        return answer("stop", record.run_id, data, lines, problems, good="stopped")

    for number, name in enumerate(("big", "small", "silent", "away", "broken", "ended", "over")):
        made = record_store.create(
            {**PLAN, "run_id": f"2026110{number}-x", "nodes": NODES}, asked("a", "b"), ["x"], name=name
        )
        record_store.save(made)
    record_store.update(verdict_of("ended"))
    monkeypatch.setattr(stop_verb, "stop", stop)
    monkeypatch.setattr(living, "asked", lambda records, *_: list(records))
    return told


def verdict_of(name):
    from dataclasses import replace

    return replace(record_store.load(name), status="succeeded", exit_code=0)


def forget(*names):
    for name in names:
        record_store.forget(record_store.load(name))


def test_each_run_is_told_of_once_and_an_unknown_one_hides_none(stopped, capsys):
    assert cli.main(["stop", "big", "nosuch", "small", "big", "--force"]) == 2
    said = capsys.readouterr()

    assert sorted(stopped) == [("big", True), ("small", True)]
    lines = ["run 20261100-x: nothing is left", "run 20261101-x: nothing is left", "stopped 2 of 3 runs"]
    assert said.out.splitlines() == lines
    assert said.err.splitlines() == ["madctl: no run is called or begins with nosuch; see madctl ps [RUN_UNKNOWN]"]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["big", "small"], 0),
        (["big", "away"], 4),
        (["broken", "away"], 1),
        (["broken", "silent", "away", "nosuch"], 9),
        (["nosuch", "away"], 4),
        (["nosuch", "nobody"], 2),
    ],
)
def test_the_worst_is_the_exit_code_and_the_json_has_all(names, code, stopped, capsys):
    assert cli.main(["stop", *names, "--output", "json"]) == code
    result = json.loads(capsys.readouterr().out)

    assert (result["exit_code"], result["status"]) == (code, "failed" if code else "stopped")
    found = {
        one["run_id"]: (one["exit_code"], [error["code"] for error in one["errors"]])
        for one in result["data"]["results"]
    }
    expected = {"big": (0, []), "small": (0, []), "silent": (9, ["STOP_UNVERIFIED"])}
    expected |= {"away": (4, ["SCHEDULER_UNREACHABLE"]), "broken": (1, ["INTERNAL"])}
    assert found == {record_store.load(name).run_id: expected[name] for name in names if name in expected}
    assert all(f"run {run_id}: " in str(result["errors"]) for run_id, (own, _) in found.items() if own)


def test_all_that_have_not_ended(stopped, capsys):
    forget("silent", "away", "broken", "over")
    assert cli.main(["stop", "--all", "--yes"]) == 0
    assert sorted(stopped) == [("big", False), ("small", False)]

    forget("big", "small")
    assert cli.main(["stop", "--all", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("stopped 2 of 2 runs\nno run is running\n")


def test_runs_that_had_already_ended_are_not_counted_as_stopped(stopped, capsys):
    assert cli.main(["stop", "ended", "over"]) == 0
    assert cli.main(["stop", "ended", "over", "big"]) == 0

    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("stopped")]
    assert said == ["stopped 0 of 2 runs; 2 had already ended", "stopped 1 of 3 runs; 2 had already ended"]


@pytest.mark.parametrize("words", [["--all"], ["--all", "big", "--yes"], ["--all", "--output", "json"]])
def test_nobody_is_asked_where_nobody_answers(words, stopped, capsys):
    assert cli.main(["stop", *words]) == 2
    assert "[USAGE]" in capsys.readouterr().err and stopped == []


@pytest.mark.parametrize(
    ("answer", "is_yes"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_a_person_is_asked(answer, is_yes, stopped, monkeypatch, capsys):
    forget("silent", "away", "broken", "over")
    monkeypatch.setattr(terminal, "can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: answer, raising=False)

    assert cli.main(["stop", "--all"]) == (0 if is_yes else 130)
    said = capsys.readouterr().err
    assert [line.split()[1] for line in said.splitlines()[:3]] == ["NAME", "small", "big"]
    assert "stop these 2 runs? [y/N] " in said and ("no run was stopped [INTERRUPTED]" in said) is not is_yes
    assert bool(stopped) is is_yes
