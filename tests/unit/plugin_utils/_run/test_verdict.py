# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that report nothing of a node: not wanted, without anything to check, or cut off by another failure."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.module_utils._plan import judgement
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import play_rules, request_of, verdict
from tests.unit.module_utils.healthy_facts import node

OTHERS = ["context", "madengine", "mpi"]  # for other runners and other work


def silent(numbers, paths=(), failed=(), **request):
    nodes = [*((f"n{number}", node(number)) for number in numbers), *((entry["host"], None) for entry in failed)]
    asked = Request("r", ("train.py",), python="/opt/python", chdir="/job", **request)
    return judgement.not_run(judgement.judge(asked, nodes, failed), list(paths))


@pytest.mark.parametrize(
    ("numbers", "paths", "request_", "expected"),
    [
        ((1, 2), ("/nfs",), {}, OTHERS),
        ((1, 2), (), {}, [*OTHERS, "storage"]),
        ((1,), ("/nfs",), {}, [*OTHERS, "proof"]),
        ((1, 2), ("/nfs",), {"skip": ("gpus", "proof")}, [*OTHERS, "gpus", "proof"]),
    ],
)
def test_what_has_nothing_to_check_reports_nothing(numbers, paths, request_, expected):
    assert silent(numbers, paths, **request_)["n1"] == sorted(expected)


def test_nothing_but_its_silence_is_known_of_a_node_that_was_not_reached():
    found = silent((1, 2), failed=[problem("HOST_UNREACHABLE", "n3", "it does not answer")])

    assert found["n3"] == sorted(set(catalog.NAMES) - {"reach"})


class Probed:
    """A conductor that was interrupted while it probed."""

    is_over = True

    def probe(self, hosts, request, own=None, code=None):
        self.hosts, self.request = hosts, request
        return {}


@pytest.mark.parametrize(
    ("write", "is_dry", "writes"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_nothing_is_written_on_nodes_where_nothing_may_change(write, is_dry, writes):
    conductor, variables = Probed(), {"n1": {}}
    arguments = request_of.read({"work": ["train.py"], "write": write}, variables)
    verdict.look(conductor, arguments, variables, play_rules.Stages(is_dry, False, True), in_full=False)

    assert (conductor.hosts, conductor.request["write"]) == (["n1"], writes)


class Reached(Probed):
    """A conductor that found two healthy nodes, and what it tells."""

    is_over = False

    def __init__(self):
        self.told = []

    def probe(self, hosts, request, own=None, code=None):
        return {host: (node(number), None) for number, host in enumerate(hosts, 1)}

    def tell(self, event):
        self.told.append(event)


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ({}, []),
        ({"show_ranks": "0-1", "show_hosts": "n[1-2]"}, []),
        ({"show_ranks": ["7"]}, ["USAGE"]),
        ({"show_hosts": ["n9"]}, ["RUN_HOST_UNKNOWN"]),
    ],
)
def test_a_launch_that_would_show_nothing_of_what_was_asked_for_has_no_plan(shown, found):
    conductor, variables = Reached(), {"n1": {}, "n2": {}}
    given = {"work": ["train.py"], "python": "/opt/python", "chdir": "/job", "nproc_per_node": "2", "event_socket": "x"}
    arguments = request_of.read({**given, **shown}, variables)
    judged = verdict.look(conductor, arguments, variables, play_rules.Stages(True, False, True), in_full=False)

    assert [entry["code"] for entry in judged.problems] == found
    assert ((judged.plan is None), conductor.told[0]["plan"] is None) == (bool(found), bool(found))
