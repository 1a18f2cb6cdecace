# SPDX-License-Identifier: Apache-2.0
"""Nodes that a run of before was on are reached as they were then, where nothing has changed."""

from dataclasses import replace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._ways import kept
from ansible_collections.madctl.multinode.plugins.module_utils._ways.ssh import Login, Ssh
from madctl.nodes import reach
from madctl.playbook import ask
from madctl.records import record_store
from tests.unit.madctl.remembered_runs import PLAN, asked

pytestmark = pytest.mark.usefixtures("own_records")


def ran_on(run_id, *names, target="t", **how):
    """Remember a run on some nodes."""
    targets = asked(*names, **how)
    nodes = [
        {"host": name, "node_rank": rank, "address": None, "run_dir": f"/r/{run_id}"} for rank, name in enumerate(names)
    ]
    login = Login(words=["ssh"], target=target, address=target)
    ways = reach.keep(targets, {name: kept.dumped(Ssh(name, "p", login)) for name in names})
    plan = {**PLAN, "run_id": run_id, "nnodes": len(names), "nodes": nodes, "proof": {}}
    assert record_store.save(record_store.create(plan, targets, ["x"], ways)) is None


def targets_of(found):
    ways = reach.ways(found)
    return ways and {name: way.login.target for name, way in ways.items()}


def test_the_latest_run_on_each_node_says_how():
    ran_on("20260101-000000-aaaaaaaa", "a", "b", target="old")
    ran_on("20260102-000000-bbbbbbbb", "b", target="new")

    assert targets_of(ask.with_known_ways(asked("b", "a"))) == {"b": "new", "a": "old"}


def test_another_login_is_another_way():
    ran_on("20260101-000000-aaaaaaaa", "a", "b")

    assert ask.with_known_ways(asked("a", user="you")).reach is None


def test_a_node_that_no_run_was_on_is_not_known():
    ran_on("20260101-000000-aaaaaaaa", "a", "b")

    assert ask.with_known_ways(asked("a", "c")).reach is None


def test_ways_that_were_made_from_other_settings_are_not_used(monkeypatch):
    ran_on("20260101-000000-aaaaaaaa", "a")
    monkeypatch.setenv("ANSIBLE_REMOTE_USER", "you")

    assert ask.with_known_ways(asked("a")).reach is None


def test_what_is_at_hand_is_not_looked_for():
    ran_on("20260101-000000-aaaaaaaa", "a", target="of another run")
    own = replace(asked("a"), reach={"seal": "s", "ways": {}})

    assert ask.with_known_ways(own) is own


def test_a_record_that_others_can_write_says_nothing_of_ways():
    ran_on("20260101-000000-aaaaaaaa", "a")
    assert ask.with_known_ways(asked("a")).reach
    (record_store.directory() / "20260101-000000-aaaaaaaa.json").chmod(0o660)

    assert ask.with_known_ways(asked("a")).reach is None
