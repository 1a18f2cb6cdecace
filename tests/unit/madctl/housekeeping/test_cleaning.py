# SPDX-License-Identifier: Apache-2.0
"""Runs from what nodes say of them: put together, remembered, forgotten."""

import os
import time
from pathlib import Path

import pytest

from madctl.errors import ExitCode
from madctl.housekeeping import cleaning, held_runs, leftovers
from madctl.nodes import inventory, record_store
from madctl.nodes.hosts import Host
from madctl.options import Targets

RUN = "20261101-120000-aaaaaaaa"
PLAN = {"runner": "torchrun", "shape": "script", "master_addr": "a", "master_port": 1, "nnodes": 2, "world_size": 2}


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def asked(*names, user=None, sources=()):
    return Targets(names, inventory.build([Host(name) for name in names], user, None, ""), sources)


def share(rank, hosts=("a", "b"), state="running", code=None, run_id=RUN, **more):
    described = {"run_id": run_id, "created": 1.0, "host": hosts[rank], "node_rank": rank, "hosts": list(hosts)}
    described.update(work=["train.py"], plan=PLAN, **more)
    ended = {"outcome": "exited", "exit_code": code, "stopped": False, "left_behind": [], "trouble": None}
    exit_record = {**ended, "ranks_joined": 1, "apart": []} if state == "exited" else None
    known = {"run_id": run_id, "run_dir": f"/var/tmp/madctl-0/{run_id}", "state": state, "exit": exit_record}
    return {"runs": [{**known, "described": described}]}


def test_a_run_is_put_together_in_rank_order():
    targets = asked("b", "x", "a")
    (run,) = held_runs.held({"a": share(0), "b": share(1), "x": {"runs": []}}, targets)
    record = run.record(targets)

    assert (run.states, run.not_asked) == (["running"], [])
    assert record.targets["names"] == ("a", "b")
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
    (run,) = held_runs.held({"a.example": share(0), "b.example": share(1)}, targets)

    assert run.record(targets).targets["names"] == ("a.example", "b.example")


def test_a_node_that_was_not_asked_is_named_and_nothing_is_remembered():
    targets = asked("a")
    (run,) = held_runs.held({"a": share(0)}, targets)

    assert (run.not_asked, run.record(targets)) == (["b"], None)


def test_a_node_that_was_asked_but_holds_nothing_or_is_silent_belongs_to_it():
    targets = asked("a", "b")
    (run,) = held_runs.held({"a": share(0)}, targets)

    assert run.record(targets).plan["nodes"][1]["run_dir"] == f"/var/tmp/madctl-0/{RUN}"


def test_two_names_for_one_machine_are_one_node():
    targets = asked("a", "a2", "b")
    (run,) = held_runs.held({"a": share(0), "a2": share(0), "b": share(1)}, targets)

    assert run.record(targets).targets["names"] == ("a", "b")


@pytest.mark.parametrize(
    ("codes", "status", "code"),
    [((0, 0), "succeeded", ExitCode.SUCCEEDED), ((0, 1), "failed", ExitCode.JOB_FAILED)],
)
def test_the_end_is_remembered(codes, status, code):
    targets = asked("a", "b")
    shares = [share(rank, state="exited", code=codes[rank]) for rank in (0, 1)]
    (run,) = held_runs.held(dict(zip("ab", shares)), targets)
    record = run.record(targets)

    assert (record.status, record.exit_code) == (status, code)


def test_a_node_that_was_asked_by_two_names_has_ended_once():
    targets = asked("a", "also-a", "b")
    first = share(0, state="exited", code=0)
    (run,) = held_runs.held({"a": first, "also-a": first, "b": {"runs": []}}, targets)

    assert (run.record(targets).status, run.record(targets).exit_code) == ("running", None)


@pytest.mark.parametrize("run_id", ["../../evil", "a/b", ".hidden", "", "x" * 300, "a\nb"])
def test_no_node_names_a_file_of_this_machine(run_id):
    targets = asked("a", "b")
    (run,) = held_runs.held({"a": share(0, run_id=run_id), "b": share(1, run_id=run_id)}, targets)

    assert run.record(targets) is None


def test_a_run_that_says_nothing_of_itself_has_no_record():
    targets = asked("a")
    silent = share(0)
    silent["runs"][0]["described"] = None
    (run,) = held_runs.held({"a": silent}, targets)

    assert (run.described, run.not_asked, run.record(targets)) == (None, [], None)


def test_nodes_of_many_runs_are_asked_in_as_few_plays_as_can_be():
    one = [asked("a", "b"), asked("b", "c"), asked("a")]
    found = held_runs.groups([*one, asked("a", user="root"), asked("a", "d", sources=("lab.yml",))])

    assert [(list(group.hosts), group.sources) for group in found] == [
        (["a", "b", "c"], ()),
        (["a"], ()),
        (["a", "d"], ("lab.yml",)),
    ]


# -- which records go ------------------------------------------------------------------------------------


def remembered(days=10.0, hosts=("a", "b"), run_id=RUN):
    targets = asked(*hosts)
    nodes = [{"host": host, "node_rank": 0, "run_dir": f"/data/runs/{run_id}"} for host in hosts]
    reach = {"names": hosts, "inventory": targets.inventory, "sources": ()}
    record = record_store.Record(
        run_id, time.time() - days * 86400, [], reach, {**PLAN, "run_id": run_id, "nodes": nodes}
    )
    record_store.save(record)
    path = record_store.directory() / f"{run_id}.json"
    os.utime(path, (record.created, record.created))
    return record_store.load(run_id)


def answer(removed=(), held=()):
    return {"removed": [{"run_id": r, "bytes": 5} for r in removed], "programs": [], "held": list(held), "stuck": []}


def cleaned(monkeypatch, record, answers, problems=(), run_dir=None, targets=None):
    asks = []

    def ask(playbook, action, targets, variables):
        asks.append(variables)
        return {"nodes": answers, "problems": list(problems)}

    monkeypatch.setattr(held_runs, "ask", ask)
    found = cleaning.Cleaning([record], 7, run_dir, dry_run=False)
    found.ask(held_runs.groups([targets or record.reach()]))
    return found, asks


CASES = {
    "removed everywhere": ({"a": answer([RUN]), "b": answer([RUN])}, 0, True),
    "no node has it, and it is old": ({"a": answer(), "b": answer()}, 10, True),
    "no node has it, and it is young": ({"a": answer(), "b": answer()}, 1, False),
    "one node keeps it": ({"a": answer([RUN]), "b": answer(held=[RUN])}, 10, False),
    "one node is silent": ({"a": answer([RUN])}, 10, False),
    "one node lost it before": ({"a": answer([RUN]), "b": answer()}, 10, True),
}


@pytest.mark.parametrize(("answers", "days", "goes"), CASES.values(), ids=CASES)
def test_a_record_goes_with_its_run(monkeypatch, answers, days, goes):
    record = remembered(days)
    found, asks = cleaned(monkeypatch, record, answers)

    assert (found.over() == [record]) == goes
    assert asks[0]["madctl_bases"] == {"a": ["/data/runs"], "b": ["/data/runs"]}
    cleaning.forget(found.over())
    assert (record_store.names() == []) == goes


def test_a_node_of_the_same_name_elsewhere_says_nothing_of_a_run(monkeypatch):
    record = remembered()
    found, _ = cleaned(monkeypatch, record, {"a": answer(), "b": answer()}, targets=asked("a", "b", user="root"))

    assert found.over() == []


def test_another_directory_says_nothing_of_a_run(monkeypatch):
    record = remembered()
    found, asks = cleaned(monkeypatch, record, {"a": answer(), "b": answer()}, run_dir="/elsewhere")

    assert found.over() == []
    assert asks[0]["madctl_run_dir"] == "/elsewhere"
    assert "madctl_bases" not in asks[0]


def test_a_record_that_cannot_be_read_is_left_alone():
    record = remembered()
    (record_store.directory() / "broken.json").write_text("{")

    assert held_runs.records() == [record]


# -- temporary directories ---------------------------------------------------------------------------------


def test_only_our_own_old_temporary_directories_are_left_over(tmp_path, monkeypatch):
    when = time.time() - 2 * 86400

    def make(name, content="inventory.yml", mode=0o700, old=True):
        path = tmp_path / name
        path.mkdir()
        (path / content).write_text("")
        path.chmod(mode)
        if old:
            os.utime(path / content, (when, when))
            os.utime(path, (when, when))
        return path

    gone = make("madctl-aaaaaaaa")
    make("madctl-bbbbbbbb", old=False)
    make("madctl-cccccccc", content="thesis.tex")
    make("madctl-dddddddd", mode=0o755)
    make("madctl-proof")
    used = make("madctl-eeeeeeee")
    (tmp_path / "madctl-ffffffff").symlink_to(gone)

    with (used / "inventory.yml").open() as stream:
        assert leftovers.find(tmp_path) == [gone, used]  # Our own open files do not count.
        child = os.posix_spawn(
            "/bin/sleep", ["sleep", "60"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, stream.fileno(), 0)]
        )
    try:
        assert leftovers.find(tmp_path) == [gone]
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    leftovers.remove(gone)
    assert not Path(gone).exists()
