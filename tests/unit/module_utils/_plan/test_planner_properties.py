# SPDX-License-Identifier: Apache-2.0
"""Whatever nodes report, a plan is sound or a problem is named; nothing crashes."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests.unit.module_utils.healthy_facts import interface, node, report

pytestmark = pytest.mark.slow

NETWORKS = ["192.0.2", "198.51.100", "203.0.113", "10.1.0"]


@st.composite
def interfaces(draw, number):
    found = [interface("lo", "127.0.0.1", 8, flags=["UP", "RUNNING", "LOOPBACK"])]
    for index in range(draw(st.integers(0, 4))):
        last = draw(st.sampled_from([number, number, number, 1]))
        address = draw(
            st.one_of(
                st.none(),
                st.sampled_from(NETWORKS).map(lambda net, last=last: f"{net}.{last}"),
                st.just(f"2001:db8::{number}"),
            )
        )
        more = draw(
            st.fixed_dictionaries(
                {
                    "flags": st.sampled_from([["UP", "RUNNING"], ["UP", "RUNNING"], ["UP"], []]),
                    "bridge": st.booleans(),
                    "bond": st.booleans(),
                    "physical": st.booleans(),
                    "master": st.sampled_from([None, None, "bond0"]),
                    "lower": st.sampled_from([[], ["eth0"], ["bond0"]]),
                    "mtu": st.sampled_from([None, 1500, 9000]),
                }
            )
        )
        name = draw(st.sampled_from(["eth0", "ib0", "bond0", "br0", f"x{index}"]))
        found.append(interface(name, address, 64 if address and ":" in address else 24, **more))
    return found


@st.composite
def facts(draw, number):
    vendor = draw(st.sampled_from([None, "amd", "nvidia"]))
    count = draw(st.sampled_from([0, 7, 8])) if vendor else 0
    python = {
        "wanted": draw(st.sampled_from([None, "/opt/python"])),
        "wanted_exists": draw(st.booleans()),
        "own": draw(st.sampled_from([None, "/usr/bin/python3"])),
        "own_exists": draw(st.booleans()),
        "wanted_report": draw(st.sampled_from([None, report(), report(torch=False), report(packages={"numpy": "2"})])),
        "own_report": draw(st.sampled_from([None, report(torch_build={})])),
        "mpi": None,
    }
    files = {"chdir_exists": draw(st.booleans()), "entry_exists": draw(st.booleans())}
    files = {**files, "entry_sha256": "a", "program_fault": None}
    return node(
        number,
        machine_id=draw(st.sampled_from([None, "same", f"m{number}"])),
        ifconfig=draw(st.sampled_from([None, "/sbin/ifconfig", "/sbin/ifconfig", "/sbin/ifconfig"])),
        interfaces=draw(interfaces(number)),
        management_address=draw(st.sampled_from([None, f"192.0.2.{number}"])),
        gpus={"vendor": vendor, "count": count, "models": ["x"] * count, "driver": draw(st.sampled_from([None, "1"]))},
        port={"number": 29500, "error": draw(st.sampled_from([None, None, "EADDRINUSE", "EACCES"])), "free": 40000}
        | {"holder": None},
        python=draw(st.sampled_from([python, python, None])),
        files=draw(st.sampled_from([files, files, None])),
        names=draw(st.sampled_from([None, [], ["127.0.1.1"], ["198.51.100.1"]])),
    )


@st.composite
def situations(draw):
    nodes = [draw(facts(number)) for number in range(1, draw(st.integers(1, 5)) + 1)]
    request = Request(
        run_id="r",
        work=("train.py",),
        shape=draw(st.sampled_from(["script", "command"])),
        python="/opt/python",
        nproc_per_node=draw(st.sampled_from(["auto", "gpu", "3"])),
        gpus=draw(st.sampled_from(["same", "min"])),
        master_port=draw(st.sampled_from(["29500", "auto", "400"])),
        interface=draw(st.sampled_from([None, None, None, "ib0", "198.51.100.0/24", "2001:db8::/32"])),
        chdir=draw(st.sampled_from([None, "/job"])),
        chdir_required=draw(st.booleans()),
        skip=tuple(draw(st.sets(st.sampled_from(sorted(catalog.SKIPPABLE)), max_size=13))),
    )
    return request, nodes


@settings(max_examples=400, deadline=None, derandomize=True)
@given(situations())
def test_a_plan_is_sound_or_a_problem_is_named(situation):
    request, nodes = situation
    hosts = [f"n{number}" for number in range(1, len(nodes) + 1)]
    outcome = planner.make(request, hosts, nodes)

    assert bool(outcome.plan) != bool(outcome.problems)
    assert all(entry["code"] in catalog.CHECK_OF for entry in outcome.problems + outcome.warnings)
    if outcome.plan:
        planned = outcome.plan["nodes"]
        assert sorted(entry["node_rank"] for entry in planned) == list(range(len(nodes)))
        assert [entry["host"] for entry in planned] == hosts
        addresses = [entry["address"] for entry in planned]
        assert len(set(addresses)) == len(nodes)
        networks = [ip_network(network) for network in outcome.plan["network"].split(",")]
        assert all(any(ip_address(address) in network for network in networks) for address in addresses)
        assert outcome.plan["world_size"] == sum(entry["nproc_per_node"] for entry in planned)
