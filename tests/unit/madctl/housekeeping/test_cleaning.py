# SPDX-License-Identifier: Apache-2.0
"""What earlier runs left: which nodes are asked, which records go, and which directories."""

import contextlib
import dataclasses
import fcntl
import os
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import private_places
from madctl.housekeeping import cleaning, leftovers, plays
from madctl.playbook import ask
from madctl.records import record_store
from madctl.records.run_record import Record
from tests.unit.madctl.remembered_runs import PLAN, RUN, asked
from tests.unit.module_utils.agent_by_hand import until

pytestmark = pytest.mark.usefixtures("own_records")


def test_nodes_of_many_runs_are_asked_in_as_few_plays_as_can_be():
    one = [asked("a", "b"), asked("b", "c"), asked("a")]
    found = plays.groups([*one, asked("a", user="root"), asked("a", "d", sources=("lab.yml",))])

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
    record = Record(run_id, time.time() - days * 86400, [], reach, {**PLAN, "run_id": run_id, "nodes": nodes})
    record_store.save(record)
    path = record_store.directory() / f"{run_id}.json"
    os.utime(path, (record.created, record.created))
    return record_store.load(run_id)


def test_runs_whose_inventory_is_gone_are_forgotten(monkeypatch, tmp_path):
    here, gone = tmp_path / "here.yml", tmp_path / "gone.yml"
    here.touch()
    records = [
        dataclasses.replace(remembered(0.0, ("a",), f"20260102-03040{n}-abcdef01"), targets=of_source(source))
        for n, source in enumerate((gone, here, gone))
    ]
    monkeypatch.setattr(ask, "nodes", lambda *_: {"nodes": {}, "problems": []})
    found = cleaning.Cleaning(records, 7, None, dry_run=False)
    found.ask(plays.groups(record.reach() for record in records))

    assert (found.over(), found.problems) == ([records[0], records[2]], [])
    assert [(notice.code, notice.host) for notice in found.notices] == [("RUN_FORGOTTEN", None)]
    assert f"the inventory {gone} is gone: 2 runs were forgotten here: " in found.notices[0].message
    assert records[2].run_id in found.notices[0].message and records[1].run_id not in found.notices[0].message


def of_source(source):
    return {"names": ["a"], "inventory": asked("a").inventory, "sources": [str(source)]}


def answer(removed=(), held=()):
    return {"removed": [{"run_id": r, "bytes": 5} for r in removed], "programs": [], "held": list(held), "stuck": []}


def cleaned(monkeypatch, record, answers, problems=(), run_dir=None, targets=None):
    asks = []

    def answered(playbook, targets, variables):
        asks.append(variables)
        return {"nodes": answers, "problems": list(problems)}

    monkeypatch.setattr(ask, "nodes", answered)
    found = cleaning.Cleaning([record], 7, run_dir, dry_run=False)
    found.ask(plays.groups([targets or record.reach()]))
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

    assert record_store.known()[0] == [record]


# -- temporary directories ---------------------------------------------------------------------------------


@contextlib.contextmanager
def lock(path):
    place = os.open(path, os.O_RDONLY)
    fcntl.flock(place, fcntl.LOCK_SH)
    yield
    os.close(place)


def test_a_private_directory_is_in_use_until_every_copy_of_its_process_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(private_places, "base", lambda: str(tmp_path))
    (said, says), (go, goes) = os.pipe(), os.pipe()
    first = os.fork()
    if not first:
        os.close(goes)
        os.write(says, private_places.private().encode())
        if not os.fork():
            os.read(go, 1)
        os._exit(0)
    path = os.read(said, 4096).decode()
    os.waitpid(first, 0)
    used = private_places.is_in_use(path)
    os.close(goes)

    assert used
    until(lambda: not private_places.is_in_use(path))


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
    monkeypatch.setattr(private_places, "base", lambda: str(tmp_path))
    assert leftovers.find() == [gone, used]
    with lock(used):
        assert leftovers.find() == [gone]
