# SPDX-License-Identifier: Apache-2.0
"""What single hosts have of their own: a Python, an interface, variables; everything else is planned around it."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner, spare_nodes
from ansible_collections.madctl.multinode.plugins.module_utils._request import launch_request
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests.unit.module_utils.healthy_facts import changed, interface, report

HOSTS = ("n1", "n2", "n3")


def facts_of(number, python="/opt/python", exists=True, **more):
    found = changed(number, "python", "wanted", python)
    found["python"].update(wanted_exists=exists, own_report=None if exists else report())
    return {**found, **more}


def make(own, facts=None, **more):
    fields = {"python": "/opt/python", "chdir": "/job", "master_port": "29500", **more}
    request = Request("r", ("train.py",), own=own, **fields)
    return planner.make(request, HOSTS, facts or [facts_of(number) for number in (1, 2, 3)])


def codes(outcome):
    return [(entry["code"], entry["host"]) for entry in (*outcome.problems, *outcome.warnings)]


def test_a_node_with_a_python_of_its_own_runs_that_and_the_others_the_general_one():
    facts = [facts_of(1), facts_of(2, "/opt/two"), facts_of(3)]
    plan = make({"n2": {"python": "/opt/two"}}, facts).plan

    assert [entry["python"] for entry in plan["nodes"]] == ["/opt/python", "/opt/two", "/opt/python"]
    assert [entry["argv"][0] for entry in plan["nodes"]] == ["/opt/python", "/opt/two", "/opt/python"]
    assert [entry["argv"][-2] for entry in plan["nodes"]] == ["/opt/python", "/opt/two", "/opt/python"]


@pytest.mark.parametrize("required", [True, False])
def test_a_python_of_its_own_must_be_there(required):
    facts = [facts_of(1), facts_of(2, "/opt/two", False), facts_of(3)]
    outcome = make({"n2": {"python": "/opt/two"}}, facts, python_required=required)

    assert codes(outcome)[0] == ("PYTHON_MISSING", "n2")
    assert outcome.problems[0]["message"] == "no Python at /opt/two"


def test_where_the_general_one_is_missing_the_own_one_stays():
    facts = [facts_of(1, exists=False), facts_of(2, "/opt/two"), facts_of(3, exists=False)]
    outcome = make({"n2": {"python": "/opt/two"}}, facts)

    assert codes(outcome) == [("PYTHON_DIFFERS", None)]
    assert [entry["python"] for entry in outcome.plan["nodes"]] == ["/usr/bin/python3", "/opt/two", "/usr/bin/python3"]


def test_a_python_that_the_work_begins_with_is_that_of_all():
    request = Request("r", ("/opt/python", "train.py"), own={"n2": {"python": "/opt/two"}}, chdir="/job")
    plan = planner.make(request, HOSTS, [facts_of(number) for number in (1, 2, 3)]).plan

    assert {entry["python"] for entry in plan["nodes"]} == {"/opt/python"}


def carded(number, *names):
    cards = [interface(name, f"10.{at}.0.{number}") for at, name in enumerate(names, 1)]
    return facts_of(number, interfaces=[interface("lo", "127.0.0.1", 8, flags=["UP", "LOOPBACK"]), *cards])


CARDS = [carded(1, "ib0", "ib1"), carded(2, "mlx0", "mlx1"), carded(3, "ib0", "ib1")]
INTERFACES = {
    "one for each": ({"n2": {"interface": "mlx1"}}, {"interface": "ib1"}, ["ib1", "mlx1", "ib1"]),
    "others take its network": ({"n2": {"interface": "mlx1"}}, {}, ["ib1", "mlx1", "ib1"]),
    "a network": ({"n3": {"interface": "10.2.0.0/24"}}, {"interface": "10.2.0.0/24"}, ["ib1", "mlx1", "ib1"]),
    "a network of one": ({"n3": {"interface": "10.1.0.0/24"}}, {}, ["ib0", "mlx0", "ib0"]),
}


@pytest.mark.parametrize("case", INTERFACES)
def test_each_node_uses_the_interface_that_is_asked_for_there(case):
    own, more, expected = INTERFACES[case]
    plan = make(own, CARDS, **more).plan

    assert [entry["interface"] for entry in plan["nodes"]] == expected
    assert [entry["env"]["NCCL_SOCKET_IFNAME"].lstrip("=") for entry in plan["nodes"]] == expected


def test_an_interface_that_is_not_there_is_the_fault_of_that_node_alone():
    assert codes(make({"n2": {"interface": "mlx7"}}, CARDS))[:1] == [("INTERFACE_UNKNOWN", "n2")]
    assert codes(make({"n2": {"interface": "mlx1"}}, CARDS, interface="ib7"))[:2] == [
        ("INTERFACE_UNKNOWN", "n1"),
        ("INTERFACE_UNKNOWN", "n3"),
    ]


def test_variables_of_a_node_stay_out_of_its_plan_and_take_the_place_of_ours():
    own = {"n2": {"env": {"NCCL_SOCKET_IFNAME": "x", "A": "s3cret", "HIP_VISIBLE_DEVICES": "0,1"}}}
    plan = make(own, gpus="per-node", runner="torchrun", nproc_per_node="auto", env={"MASTER_PORT": "1"}).plan

    assert ["NCCL_SOCKET_IFNAME" in entry["env"] for entry in plan["nodes"]] == [True, False, True]
    assert not any("MASTER_PORT" in entry["env"] for entry in plan["nodes"])
    assert [entry["nproc_per_node"] for entry in plan["nodes"]] == [8, 2, 8]
    assert "s3cret" not in str(plan)


def test_a_restart_knows_what_nodes_have_of_their_own_and_no_value():
    own = {"n2": {"python": "/opt/two", "env": {"A": "s3cret", "HIP_VISIBLE_DEVICES": "0,1"}}}
    request = Request("r", ("train.py",), own=own, chdir="/job", gpus="per-node", slots=(None,) * 3)
    facts = [facts_of(1, exists=False), facts_of(2, "/opt/two"), facts_of(3, exists=False)]
    nodes = list(zip(HOSTS, facts))
    outcome = planner.make(request, HOSTS, facts)
    kept = spare_nodes.keep(request, spare_nodes.Choice(list(HOSTS), outcome, [], []), nodes, 1)
    again, _ = spare_nodes.again({**outcome.plan, "spares": [], "restart": kept}, {"n1": "RANK_FAILED"}, 1)

    assert "s3cret" not in str(kept)
    assert [entry["python"] for entry in again["nodes"]] == [entry["python"] for entry in outcome.plan["nodes"]]
    assert [entry["nproc_per_node"] for entry in again["nodes"]] == [8, 2, 8]


def test_the_probe_of_a_node_asks_for_what_is_its_own():
    own = {"n2": {"python": "/opt/two", "env": {"PATH": "/two", "TOKEN": "s3cret"}}, "n3": {"interface": "ib0"}}
    arguments = launch_request.filled({"work": ["a.py"], "own": own, "env": {"PATH": "/all", "PYTHONPATH": "/p"}})
    of_all = launch_request.probe(arguments, write=False, in_full=False)

    assert launch_request.probes(arguments, of_all) == {
        "n2": {"python": "/opt/two", "env": {"PATH": "/two", "PYTHONPATH": "/p"}},
        "n3": {"env": {"PATH": "/all", "PYTHONPATH": "/p"}},
    }
    # A setup may use all of them.
    arguments = {**arguments, "setup": "x"}
    of_all = launch_request.probe(arguments, write=False, in_full=False)
    assert launch_request.probes(arguments, of_all)["n2"]["env"]["TOKEN"] == "s3cret"
