# SPDX-License-Identifier: Apache-2.0
"""
The interface rule on hosts with bonds, VLANs and bridges.

The interfaces are shaped as ``node_facts.interfaces`` gives them: what ifconfig prints in a golden file,
joined with what sysfs would say of each device.
"""

from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_cards, network_choice
from ansible_collections.madctl.multinode.plugins.module_utils._probe.ifconfig_text import parse

GOLDEN = Path(__file__).parents[1] / "_probe/ifconfig"
RHEL7 = {
    "em1": {"physical": True, "master": "bond0"},
    "em2": {"physical": True, "master": "bond0"},
    "bond0": {"bond": True, "master": "br0", "lower": ["em1", "em2"]},
    "bond0.100": {"lower": ["bond0"]},
    "br0": {"bridge": True, "lower": ["bond0"]},
    "docker0": {"bridge": True},
    "ib0": {"physical": True},
    "virbr0": {"bridge": True, "lower": ["virbr0-nic"]},
    "virbr0-nic": {"master": "virbr0"},
}
SLES12 = {
    "bond0": {"bond": True, "lower": ["eth0", "eth1"]},
    "eth0": {"physical": True, "master": "bond0"},
    "eth1": {"physical": True, "master": "bond0"},
    "vlan2048": {"lower": ["bond0"]},
}


def interfaces(name, devices):
    plain = dict.fromkeys(("physical", "bridge", "bond", "vrf", "rdma"), False)
    plain = {**plain, "kind": None, "peer": None, "master": None, "lower": []}
    text = (GOLDEN / f"{name}.txt").read_text()
    return [{**entry, **plain, **devices.get(entry["name"], {})} for entry in parse(text)]


def node(name, devices, number, management=None, **changed):
    """Return the facts of one of several similar nodes: node 2 has .22 where node 1 has .21, in every network."""
    found = interfaces(name, devices)
    for entry in found:
        for address in entry["addresses"]:
            if "LOOPBACK" not in entry["flags"] and not entry["name"].startswith(("docker", "virbr")):
                address["address"] = address["address"][:-1] + str(number)
        entry.update(changed.get(entry["name"], {}))
    return {"interfaces": found, "management_address": management}


def rejections(name, devices):
    found = interfaces(name, devices)
    names = {entry["name"]: entry for entry in found}
    return {entry["name"]: network_cards.rejection(entry, names) for entry in found}


def choose(facts, wanted=None):
    chosen, problems = network_choice.choose([f"n{index}" for index, _ in enumerate(facts, 1)], facts, wanted)
    return [(entry.interface, entry.address) for entry in chosen], [problem["code"] for problem in problems]


def test_ports_of_a_bond_and_a_bond_under_a_bridge_are_out_and_what_lies_on_top_is_in():
    assert rejections("rhel7", RHEL7) == {
        "em1": "port of bond0",
        "em2": "port of bond0",
        "bond0": "port of br0",
        "bond0.100": None,
        "br0": None,
        "docker0": "bridge without a physical port",
        "ib0": None,
        "lo": "loopback",
        "virbr0": "bridge without a physical port",
        "virbr0-nic": "down",
    }


def test_a_bond_without_its_ports():
    assert rejections("sles12", SLES12) == {
        "bond0": None,
        "eth0": "port of bond0",
        "eth1": "port of bond0",
        "lo": "loopback",
        "vlan2048": None,
    }


def test_a_bridge_whose_only_port_is_virtual_is_refused_although_it_has_one():
    devices = {**RHEL7, "virbr0-nic": {**RHEL7["virbr0-nic"], "physical": True}}

    assert rejections("rhel7", RHEL7)["virbr0"] == "bridge without a physical port"
    assert rejections("rhel7", devices)["virbr0"] == "no carrier"


def test_a_bridge_whose_bond_is_gone_is_refused():
    devices = {**RHEL7, "br0": {"bridge": True, "lower": []}}

    assert rejections("rhel7", devices)["br0"] == "bridge without a physical port"


def test_several_left_is_an_error():
    facts = [node("rhel7", RHEL7, number) for number in (1, 2)]

    assert choose(facts) == ([], ["INTERFACE_AMBIGUOUS", "INTERFACE_AMBIGUOUS"])


@pytest.mark.parametrize(
    ("wanted", "interface", "addresses"),
    [
        ("bond0.100", "bond0.100", ["198.51.100.21", "198.51.100.22"]),
        ("br0", "br0", ["192.0.2.21", "192.0.2.22"]),
        ("203.0.113.0/24", "ib0", ["203.0.113.21", "203.0.113.22"]),
    ],
)
def test_the_wanted_one_of_several(wanted, interface, addresses):
    facts = [node("rhel7", RHEL7, number) for number in (1, 2)]

    assert choose(facts, wanted) == ([(interface, address) for address in addresses], [])


def test_a_vlan_over_a_bond_is_chosen_where_the_bridge_is_management_and_infiniband_is_down():
    facts = [
        node("rhel7", RHEL7, number, management=f"192.0.2.2{number}", ib0={"flags": ["BROADCAST"]}) for number in (1, 2)
    ]

    assert choose(facts) == ([("bond0.100", "198.51.100.21"), ("bond0.100", "198.51.100.22")], [])


def test_a_bridge_over_a_bond_is_chosen_where_nothing_else_is_common():
    facts = [
        node("rhel7", RHEL7, number, ib0={"addresses": []}, **{"bond0.100": {"addresses": []}}) for number in (1, 2)
    ]

    assert choose(facts) == ([("br0", "192.0.2.21"), ("br0", "192.0.2.22")], [])


def test_the_bond_itself_is_chosen_where_its_vlan_is_management():
    facts = [node("sles12", SLES12, number, management=f"198.51.100.5{number}") for number in (1, 2)]

    assert choose(facts) == ([("bond0", "192.0.2.51"), ("bond0", "192.0.2.52")], [])


def test_bridges_that_all_hosts_have_alike_are_no_common_network():
    facts = [node("rhel7", RHEL7, 1)]
    facts += [node("rhel7", RHEL7, 2, **{name: {"addresses": []} for name in ("br0", "bond0.100", "ib0")})]

    assert choose(facts) == ([], ["NO_COMMON_NETWORK", "NO_COMMON_NETWORK"])
