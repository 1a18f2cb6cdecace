# SPDX-License-Identifier: Apache-2.0
"""How all nodes are asked: directly where it is known how they are reached, otherwise through a playbook."""

import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local
from madctl.errors import RunError
from madctl.nodes import reach
from madctl.playbook import ask, direct, engine
from tests.unit.madctl.remembered_runs import RUN, asked

pytestmark = pytest.mark.usefixtures("own_records")


class Playing:
    """Stands in for Ansible: reports one result, and a reason why it failed."""

    failure = "no inventory was parsed."
    result = None

    def __init__(self, on_task, on_event):
        self.on_task = on_task

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, playbook, targets, variables):
        assert variables["madctl_keep_ways"]
        self.on_task("madctl.multinode.run_status", "a", {"changed": False})
        self.on_task(f"madctl.multinode.run_{playbook}", "a", self.result or {})


@pytest.fixture
def ansible(monkeypatch):
    monkeypatch.setattr(engine, "Engine", Playing)
    monkeypatch.setattr(Playing, "result", {"nodes": {"a": 1}, "problems": []})
    return Playing


def test_nodes_are_asked_through_ansible_where_the_way_to_them_is_unknown(ansible):
    assert ask.nodes("ps", asked("a"), {}) == {"nodes": {"a": 1}, "problems": []}


def test_an_ansible_without_a_result_is_an_error_with_its_last_words(ansible, monkeypatch):
    monkeypatch.setattr(Playing, "result", {})

    with pytest.raises(RunError, match="Ansible ended without a result: no inventory was parsed;"):
        ask.nodes("ps", asked("a"), {})


@pytest.fixture
def local(monkeypatch):
    monkeypatch.setattr(reach, "ways", lambda _: {"a": Local("a", sys.executable, "")})


def test_nodes_are_asked_directly_where_the_way_to_them_is_known(local, tmp_path):
    found = ask.nodes("ps", asked("a"), {"madctl_run_dir": str(tmp_path)})

    assert (found["nodes"], found["problems"]) == ({"a": {"runs": []}}, [])


def test_a_run_that_no_node_holds_is_a_problem_of_each(local, tmp_path):
    found = ask.nodes("status", asked("a"), {"madctl_run_dir": str(tmp_path), "madctl_run_id": RUN})

    assert [(problem.host, problem.code) for problem in found["problems"]] == [("a", "RUN_UNKNOWN")]


@pytest.mark.parametrize(("playbook", "kind"), [("logs", direct.Direct), ("launch", Playing), ("check", Playing)])
def test_a_session_plays_in_the_same_way(ansible, local, playbook, kind):
    assert isinstance(ask.player(playbook, asked("a"), print, print), kind)
