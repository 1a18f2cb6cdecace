# SPDX-License-Identifier: Apache-2.0
"""Runs from what nodes say of them: put together, and remembered."""

import pytest

from madctl.errors import ExitCode
from madctl.records import held_runs, record_store
from tests.unit.madctl.remembered_runs import PLAN, RUN, asked

pytestmark = pytest.mark.usefixtures("own_records")


def part(rank, hosts=("a", "b"), state="running", code=None, run_id=RUN, **more):
    described = {"run_id": run_id, "created": 1.0, "host": hosts[rank], "node_rank": rank, "hosts": list(hosts)}
    described.update(work=["train.py"], plan=PLAN, **more)
    ended = {"outcome": "exited", "exit_code": code, "stopped": False, "left_behind": [], "trouble": None}
    exit_record = {**ended, "ranks_joined": 1, "apart": []} if state == "exited" else None
    known = {"run_id": run_id, "run_dir": f"/var/tmp/madctl-0/{run_id}", "state": state, "exit": exit_record}
    return {"runs": [{**known, "described": described}]}


def test_a_run_is_put_together_in_rank_order():
    targets = asked("b", "x", "a")
    (run,) = held_runs.held({"a": part(0), "b": part(1), "x": {"runs": []}}, targets)
    record = run.record(targets)

    assert (run.states, run.not_asked) == (["running"], [])
    assert record.targets["names"] == ["a", "b"]
    hosts = record.reach().inventory["all"]["children"]["madctl_nodes"]["hosts"]
    assert {host: variables["madctl_node_rank"] for host, variables in hosts.items()} == {"a": 0, "b": 1}
    assert [(node["host"], node["node_rank"]) for node in record.plan["nodes"]] == [("a", 0), ("b", 1)]
    assert (record.status, record.exit_code, record.work, record.plan["world_size"]) == (
        "running",
        None,
        ["train.py"],
        2,
    )
    record_store.save(record)
    assert record_store.load(RUN).reach().names == ("a", "b")


def test_nodes_may_have_been_called_otherwise_at_the_launch():
    targets = asked("b.example", "a.example")
    (run,) = held_runs.held({"a.example": part(0), "b.example": part(1)}, targets)

    assert run.record(targets).targets["names"] == ["a.example", "b.example"]


def test_a_node_that_was_not_asked_is_named_and_nothing_is_remembered():
    targets = asked("a")
    (run,) = held_runs.held({"a": part(0)}, targets)

    assert (run.not_asked, run.record(targets)) == (["b"], None)


def test_a_node_that_was_asked_but_holds_nothing_or_is_silent_belongs_to_it():
    targets = asked("a", "b")
    (run,) = held_runs.held({"a": part(0)}, targets)

    assert run.record(targets).plan["nodes"][1]["run_dir"] == f"/var/tmp/madctl-0/{RUN}"


def test_two_names_for_one_machine_are_one_node():
    targets = asked("a", "a2", "b")
    (run,) = held_runs.held({"a": part(0), "a2": part(0), "b": part(1)}, targets)

    assert run.record(targets).targets["names"] == ["a", "b"]


@pytest.mark.parametrize(
    ("codes", "status", "code"),
    [((0, 0), "succeeded", ExitCode.SUCCEEDED), ((0, 1), "failed", ExitCode.JOB_FAILED)],
)
def test_the_end_is_remembered(codes, status, code):
    targets = asked("a", "b")
    parts = [part(rank, state="exited", code=codes[rank]) for rank in (0, 1)]
    (run,) = held_runs.held(dict(zip("ab", parts)), targets)
    record = run.record(targets)

    assert (record.status, record.exit_code) == (status, code)


def test_a_node_that_was_asked_by_two_names_has_ended_once():
    targets = asked("a", "also-a", "b")
    first = part(0, state="exited", code=0)
    (run,) = held_runs.held({"a": first, "also-a": first, "b": {"runs": []}}, targets)

    assert (run.record(targets).status, run.record(targets).exit_code) == ("unknown", None)


@pytest.mark.parametrize("run_id", ["../../evil", "a/b", ".hidden", "", "x" * 300, "a\nb"])
def test_no_node_names_a_file_of_this_machine(run_id):
    targets = asked("a", "b")
    (run,) = held_runs.held({"a": part(0, run_id=run_id), "b": part(1, run_id=run_id)}, targets)

    assert run.record(targets) is None


def test_a_run_that_says_nothing_of_itself_has_no_record():
    targets = asked("a")
    silent = part(0)
    silent["runs"][0]["described"] = None
    (run,) = held_runs.held({"a": silent}, targets)

    assert (run.described, run.not_asked, run.record(targets)) == (None, [], None)
