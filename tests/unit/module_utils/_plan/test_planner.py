# SPDX-License-Identifier: Apache-2.0
"""Plans and refusals as tables: facts and a request in, a plan or all problems out."""

import pytest

from tests.unit.module_utils.healthy_facts import changed, interface, node, report
from tests.unit.module_utils.plans import codes, make


def test_ranks_addresses_and_argv():
    plan = make([node(1), node(2)]).plan

    assert (plan["world_size"], plan["master_addr"], plan["master_port"]) == (16, "198.51.100.1", 29500)
    second = plan["nodes"][1]
    assert (second["host"], second["node_rank"], second["interface"], second["address"]) == (
        "n2",
        1,
        "ib0",
        "198.51.100.2",
    )
    assert second["argv"] == [
        *["/opt/python", "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", "1", "--nproc-per-node", "8"],
        *["--rdzv-backend", "static", "--master-addr", "198.51.100.1", "--master-port", "29500"],
        *["--local-addr", "198.51.100.2", "--rdzv-id", "r"],
        *["--log-dir", "/var/tmp/madctl-0/r/torchrun", "--max-restarts", "0", "--no-python", "--"],
        *[
            "/usr/bin/python3",
            "-I",
            "-S",
            "/var/tmp/madctl-0/r/bin/_supervise/rank_wrapper.py",
            "/opt/python",
            "train.py",
        ],
    ]


def test_a_single_node_meets_at_localhost():
    plan = make([node(1)]).plan

    assert (plan["master_addr"], plan["nnodes"], plan["nodes"][0]["node_rank"]) == ("localhost", 1, 0)


def test_a_command_is_executed_as_given():
    plan = make([node(1), node(2)], shape="command", work=("bash", "run.sh")).plan

    assert plan["nodes"][0]["argv"] == ["bash", "run.sh"]
    assert plan["nodes"][0]["env"]["MAD_MULTI_NODE_RUNNER"].startswith(
        "/opt/python -m torch.distributed.run --nnodes 2"
    )


REFUSALS = {
    "gpu count": (changed(2, "gpus", "count", 7), {}, [("GPU_COUNT_DIFFERS", "n2")]),
    "no ifconfig": (changed(2, "ifconfig", None), {}, [("NET_TOOLS_MISSING", "n2")]),
    "same machine": (node(2, machine_id="m1", boot_id="b1"), {}, [("DUPLICATE_MACHINE", "n2")]),
    "no torch": (changed(2, "python", "wanted_report", report(torch=False)), {}, [("TORCH_MISSING", "n2")]),
    "no python": (
        changed(2, "python", "wanted_exists", False),
        {"python_required": True},
        [("PYTHON_MISSING", "n2")],
    ),
    "no script": (changed(2, "files", "entry_exists", False), {}, [("ENTRY_MISSING", "n2")]),
    "no directory": (changed(2, "files", "chdir_exists", False), {"chdir_required": True}, [("CHDIR_MISSING", "n2")]),
    "relative script": (changed(2, "files", "chdir_exists", False), {}, [("ENTRY_MISSING", "n2")]),
    "unknown interface": (node(2), {"interface": "ib9"}, [("INTERFACE_UNKNOWN", "n1"), ("INTERFACE_UNKNOWN", "n2")]),
    "unknown master": (node(2), {"master_addr": "203.0.113.1"}, [("MASTER_ADDR_UNKNOWN", "n1")]),
    "nothing in common": (
        node(2, interfaces=[interface("ib0", "203.0.113.2")]),
        {},
        [("NO_COMMON_NETWORK", "n1"), ("NO_COMMON_NETWORK", "n2")],
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    facts, request, expected = REFUSALS[case]

    assert codes(make([node(1), facts], **request)) == expected


def test_all_problems_at_once():
    files = {"chdir_exists": True, "entry_exists": False, "entry_sha256": None, "program_fault": None}
    broken = node(2, ifconfig=None, files=files, gpus={"vendor": None, "count": 0})
    port = {"number": 29500, "error": "EADDRINUSE", "free": 1, "holder": "pid 7 (python3)"}
    outcome = make([node(1, port=port), broken])

    assert {code for code, _ in codes(outcome)} == {
        "NET_TOOLS_MISSING",
        "ENTRY_MISSING",
        "GPU_COUNT_DIFFERS",
        "PORT_IN_USE",
    }


def test_two_data_networks_are_ambiguous():
    def two(number):
        facts = node(number)
        return {**facts, "interfaces": [*facts["interfaces"], interface("ib1", f"203.0.113.{number}")]}

    assert codes(make([two(1), two(2)])) == [("INTERFACE_AMBIGUOUS", "n1"), ("INTERFACE_AMBIGUOUS", "n2")]


def test_the_management_network_serves_when_it_is_the_only_one():
    facts = [node(number, interfaces=[interface("eno1", f"192.0.2.{number}")]) for number in (1, 2)]

    assert make(facts).plan["master_addr"] == "192.0.2.1"


def test_a_port_of_a_bond_is_no_candidate_and_the_bond_is():
    def bonded(number):
        return node(
            number,
            interfaces=[
                interface("eth0", f"203.0.113.{number}", master="bond0"),
                interface("bond0", f"198.51.100.{number}", physical=False, bond=True, lower=["eth0"]),
            ],
        )

    assert make([bonded(1), bonded(2)]).plan["nodes"][0]["interface"] == "bond0"


@pytest.mark.parametrize(("other", "expected"), [("ib0.2093", "=ib0"), ("eth9", "ib0")])
def test_nccl_gets_an_exact_name_only_where_a_prefix_would_trap(other, expected):
    facts = [node(number) for number in (1, 2)]
    for fact in facts:
        fact["interfaces"] = [*fact["interfaces"], interface(other)]
    env = make(facts).plan["nodes"][0]["env"]

    assert (env["NCCL_SOCKET_IFNAME"], env["GLOO_SOCKET_IFNAME"]) == (expected, "ib0")
