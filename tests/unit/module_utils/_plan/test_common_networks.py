# SPDX-License-Identifier: Apache-2.0
"""
Which card is chosen on clusters as they are built: routed to the host, with rails, with tunnels, with a card down.

Nodes are what ifconfig prints on each, and what the kernel says of devices and routes.
"""

from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_cards, network_choice
from ansible_collections.madctl.multinode.plugins.module_utils._probe import ifconfig_text
from tests.unit.module_utils import healthy_facts as plain
from tests.unit.module_utils.plans import make

NODES = Path(__file__).parent / "nodes"
HARDWARE = ("en", "eth", "ib")


def node(name, number, management=None, routes=None, **devices):
    text = (NODES / f"{name}-node{number}.txt").read_text()
    known = {
        "kind": None,
        "peer": None,
        **dict.fromkeys(("bridge", "bond", "vrf", "rdma"), False),
        "master": None,
        "lower": [],
    }
    found = []
    for entry in ifconfig_text.parse(text):
        own = {"physical": entry["name"].startswith(HARDWARE), "bridge": entry["name"] == "docker0"}
        found.append({**entry, **known, **own, **devices.get(entry["name"], {})})
    return plain.node(number, interfaces=found, management_address=management, routes=routes)


def pair(name, managements=(None, None), routes=(None, None), **devices):
    return [node(name, n, managements[n - 1], routes[n - 1], **devices) for n in (1, 2)]


def hosts_of(facts):
    return [f"n{number}" for number, _ in enumerate(facts, 1)]


def choose(facts, wanted=None, master=None):
    chosen, problems = network_choice.choose(hosts_of(facts), facts, wanted, master)
    return [(c.interface, c.address) for c in chosen], [(entry["code"], entry["host"]) for entry in problems]


def messages(facts, wanted=None):
    return [entry["message"] for entry in network_choice.choose(hosts_of(facts), facts, wanted)[1]]


def by(interface, *gateways):
    return [[network, length, [interface]] for network, length in gateways]


# What a request finds, whatever the prefix is: the proof shows whether it works.
ROUTED = {
    "slash32": ("enp0s31f6", ["198.51.100.11", "198.51.100.12"]),
    "routed26": ("eth0", ["10.136.80.18", "10.136.80.68"]),
    "leaf31": ("enp90s0np0", ["10.168.206.131", "10.168.206.71"]),
    "linklocal-cable": ("enp1s0f1np1", ["169.254.40.17", "169.254.80.17"]),
}


@pytest.mark.parametrize("name", ROUTED)
def test_an_interface_that_is_asked_for_is_taken(name):
    interface, addresses = ROUTED[name]

    assert choose(pair(name), interface) == ([(interface, address) for address in addresses], [])


DEFAULT = ("0.0.0.0", 0)


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("slash32", DEFAULT),
        ("routed26", DEFAULT),
        ("routed26", ("10.136.0.0", 16)),
        ("leaf31", DEFAULT),
        ("leaf31", ("10.168.0.0", 16)),
    ],
)
@pytest.mark.parametrize("is_managed", [True, False])
def test_the_only_card_that_is_routed_to_all_is_chosen(name, route, is_managed):
    interface, addresses = ROUTED[name]
    managements = addresses if is_managed else (None, None)
    facts = pair(name, managements, [by(interface, route)] * 2)

    assert choose(facts) == ([(interface, address) for address in addresses], [])


def test_a_route_over_another_card_is_none():
    facts = pair("leaf31", routes=[by("eth9", ("10.168.0.0", 16)), by("enp90s0np0", ("10.168.0.0", 16))])

    assert choose(facts)[1] == [("NO_COMMON_NETWORK", "n1"), ("NO_COMMON_NETWORK", "n2")]


def test_the_longest_prefix_decides():
    there, elsewhere = by("enp90s0np0", ("10.168.0.0", 16)), by("eth9", ("10.168.206.71", 32))

    assert choose(pair("leaf31", routes=[there, there]))[1] == []
    assert choose(pair("leaf31", routes=[there + elsewhere, there]))[1][0][0] == "NO_COMMON_NETWORK"


def test_routes_that_are_not_known_are_no_routes():
    assert choose(pair("leaf31"))[1] == [("NO_COMMON_NETWORK", "n1"), ("NO_COMMON_NETWORK", "n2")]


def rails(number, count, management=True):
    """Return a node with one management card, and some in networks of their own that are routed."""
    cards = [plain.interface(f"rail{rail}", f"10.168.{rail}.{2 * number}", 31) for rail in range(count)]
    own = [plain.interface("eno1", f"192.0.2.{number}")] if management else []
    routes = [route for rail in range(count) for route in by(f"rail{rail}", (f"10.168.{rail}.0", 24))]
    return plain.node(number, interfaces=[*own, *cards], routes=routes)


def test_a_routed_card_comes_before_the_management_network():
    assert choose([rails(number, 1) for number in (1, 2, 3)]) == (
        [("rail0", f"10.168.0.{2 * number}") for number in (1, 2, 3)],
        [],
    )


def test_several_routed_cards_are_ambiguous_and_a_network_takes_them_all():
    facts = [rails(number, 3) for number in (1, 2)]
    chosen, problems = network_choice.choose(["n1", "n2"], facts, "10.168.0.0/16")

    assert choose(facts)[1] == [("INTERFACE_AMBIGUOUS", "n1"), ("INTERFACE_AMBIGUOUS", "n2")]
    assert problems == []
    assert [[card.interface for card in own.cards] for own in chosen] == [["rail0", "rail1", "rail2"]] * 2


def test_the_public_card_with_the_default_route_comes_after_the_private_one_that_ssh_uses():
    def cloud(number):
        public = plain.interface("eth0", f"203.0.113.{number}", 32)
        private = plain.interface("enp7s0", f"10.0.0.{number}", 32)
        routes = by("eth0", DEFAULT) + by("enp7s0", ("10.0.0.0", 16))
        return plain.node(number, interfaces=[public, private], routes=routes, management_address=f"10.0.0.{number}")

    assert choose([cloud(1), cloud(2)]) == ([("enp7s0", "10.0.0.1"), ("enp7s0", "10.0.0.2")], [])


# -- tunnels and overlays -------------------------------------------------------------------------

CARDS = [("eno1", "192.168.1.121"), ("eno1", "192.168.1.122")]


def test_a_tunnel_is_no_better_than_a_card():
    facts = pair("wireguard", ("192.168.1.121", "192.168.1.122"))

    assert choose(facts) == (CARDS, [])
    assert choose(facts, "wg0") == ([("wg0", "10.0.0.1"), ("wg0", "10.0.0.2")], [])
    assert choose(facts, "10.0.0.0/24") == ([("wg0", "10.0.0.1"), ("wg0", "10.0.0.2")], [])


PLAIN_FLAGS = {"flags": ["UP", "BROADCAST", "RUNNING", "MULTICAST"], "mtu": 1420}


@pytest.mark.parametrize("kind", ["vxlan", "geneve", "tun", "gretap", "wireguard", "ipip", "dummy"])
def test_what_the_kernel_makes_of_software_is_no_card(kind):
    facts = pair("wireguard", ("192.168.1.121", "192.168.1.122"), wg0={**PLAIN_FLAGS, "kind": kind})

    assert choose(facts) == (CARDS, [])


@pytest.mark.parametrize(
    "device",
    [
        {"kind": "veth", "peer": "cilium_net"},
        {"kind": "vlan", "lower": ["wg1"]},
        {"kind": "macvlan", "lower": ["wg1"]},
    ],
)
def test_what_ends_on_the_node_or_is_based_on_software_is_not_a_card(device):
    facts = pair("wireguard", ("192.168.1.121", "192.168.1.122"), wg0={**PLAIN_FLAGS, **device})
    for fact in facts:
        fact["interfaces"].append(plain.interface("wg1", physical=False, kind="wireguard"))

    assert choose(facts) == (CARDS, [])


@pytest.mark.parametrize(
    "device",
    [{"physical": True}, {"kind": "vlan", "lower": ["eno1"]}, {"kind": "veth"}, {"bond": True}, {"kind": "ipoib"}],
)
def test_what_is_hardware_or_based_on_it_or_leads_out_of_a_container_is_a_card(device):
    facts = pair("wireguard", ("192.168.1.121", "192.168.1.122"), wg0={**PLAIN_FLAGS, **device})

    assert choose(facts) == ([("wg0", "10.0.0.1"), ("wg0", "10.0.0.2")], [])


def test_tunnels_alone_are_named_and_not_taken():
    facts = pair("wireguard", eno1={"flags": []})

    assert choose(facts)[1] == [("NO_COMMON_NETWORK", "n1"), ("NO_COMMON_NETWORK", "n2")]
    assert "only by request: wg0 10.0.0.0/24" in messages(facts)[0]


# -- the management network -----------------------------------------------------------------------


def two_cards(number, **data):
    entry = plain.interface("ens14np0", f"198.51.100.{number}")
    return plain.node(number, interfaces=[plain.interface("eno1", f"192.0.2.{number}"), {**entry, **data}])


DOWN, DARK, BARE = {"flags": ["BROADCAST"]}, {"flags": ["UP"]}, {"addresses": []}


@pytest.mark.parametrize(("fault", "word"), [(DOWN, "ens14np0 is down"), (DARK, "ens14np0 has no carrier")])
def test_a_data_card_that_is_down_on_one_of_two_nodes_is_an_error_that_names_it(fault, word):
    facts = [two_cards(1), two_cards(2, **fault)]

    assert choose(facts) == ([], [("NETWORK_MISSING", "n2")])
    assert word in messages(facts)[0]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (BARE, "ens14np0 has no address"),
        ({**DOWN, **BARE}, "ens14np0 is down"),
        ({**DARK, **BARE}, "ens14np0 has no carrier"),
        ({**DOWN, **BARE, "name": "ib0"}, "ib0 is down"),
        ({"name": "tap0", "kind": "tun", "physical": False}, "ens14np0 is missing"),
    ],
)
def test_the_management_network_is_not_used_without_a_word(fault, word):
    facts = [two_cards(1), two_cards(2, **fault)]

    assert choose(facts) == ([("eno1", "192.0.2.1"), ("eno1", "192.0.2.2")], [("MANAGEMENT_NETWORK", "n2")])
    assert word in messages(facts)[0]
    assert catalog.is_warning("MANAGEMENT_NETWORK")


def test_all_data_cards_down_are_a_warning_of_every_node():
    facts = [two_cards(number, **DOWN) for number in (1, 2, 3)]
    chosen, problems = choose(facts)

    assert chosen == [("eno1", f"192.0.2.{number}") for number in (1, 2, 3)]
    assert problems == [("MANAGEMENT_NETWORK", f"n{number}") for number in (1, 2, 3)]


def test_an_unused_port_is_not_reported():
    assert choose([two_cards(number, **DARK, **BARE) for number in (1, 2)])[1] == []


def test_a_card_for_rdma_is_meant_unless_another_port_of_the_node_is_used():
    dark = [two_cards(number, **DARK, **BARE, rdma=True) for number in (1, 2)]
    second = [two_cards(number, **DARK, **BARE, rdma=True) for number in (1, 2)]
    for fact in second:
        fact["interfaces"][0]["rdma"] = True

    assert choose(dark)[1] == [("MANAGEMENT_NETWORK", "n1"), ("MANAGEMENT_NETWORK", "n2")]
    assert choose(second)[1] == []


def test_the_management_network_by_request_needs_no_word():
    assert choose([two_cards(1), two_cards(2, **DOWN, **BARE)], "192.0.2.0/24")[1] == []
    assert choose([two_cards(1), two_cards(2, **DOWN, **BARE)], "eno1")[1] == []


# -- a request ------------------------------------------------------------------------------------


def test_a_network_of_everything_is_ambiguous_without_what_the_rule_rejects():
    facts = [plain.node(number) for number in (1, 2)]

    assert choose(facts, "0.0.0.0/0") == ([], [("INTERFACE_AMBIGUOUS", "n1"), ("INTERFACE_AMBIGUOUS", "n2")])
    assert messages(facts, "0.0.0.0/0")[0] == "several interfaces qualify: eno1 192.0.2.1, ib0 198.51.100.1"


def test_a_network_of_everything_is_the_only_card_where_there_is_one():
    facts = pair("wireguard", ("192.168.1.121", "192.168.1.122"))

    assert choose(facts, "0.0.0.0/0") == (CARDS, [])


@pytest.mark.parametrize("wanted", ["docker0", "172.17.0.0/16", "172.17.0.1/32"])
def test_the_same_address_on_every_node_is_an_error_before_the_proof(wanted):
    facts = [plain.node(number) for number in (1, 2)]

    assert choose(facts, wanted) == ([], [("ADDRESS_TWICE", "n1"), ("ADDRESS_TWICE", "n2")])
    assert "172.17.0.1 of docker0 is also on n2" in messages(facts, wanted)[0]


def test_loopback_serves_one_node_only():
    assert choose([plain.node(1)], "lo")[1] == []
    assert choose([plain.node(1), plain.node(2)], "lo")[1] == [("ADDRESS_TWICE", "n1"), ("ADDRESS_TWICE", "n2")]


@pytest.mark.parametrize("wanted", ["ens14np0", "198.51.100.0/24"])
def test_what_is_asked_for_and_down_is_named(wanted):
    facts = [two_cards(1), two_cards(2, **DOWN)]

    assert choose(facts, wanted) == ([], [("INTERFACE_DOWN", "n2")])


RAILS = [f"ens{number}np0" for number in range(11, 19)]


def test_all_cards_of_a_network_go_to_nccl_and_one_to_gloo():
    plan = make(pair("roce8", ("172.16.0.11", "172.16.0.12")), interface="10.10.0.0/24").plan

    assert plan["master_addr"] == "10.10.0.11"
    for entry in plan["nodes"]:
        assert entry["env"]["NCCL_SOCKET_IFNAME"] == ",".join(RAILS)
        assert (entry["env"]["GLOO_SOCKET_IFNAME"], entry["interface"]) == ("ens11np0", "ens11np0")


def test_without_a_request_eight_cards_are_ambiguous():
    facts = pair("roce8", ("172.16.0.11", "172.16.0.12"))

    assert choose(facts)[1] == [("INTERFACE_AMBIGUOUS", "n1"), ("INTERFACE_AMBIGUOUS", "n2")]


def test_names_are_exact_for_nccl_where_a_prefix_of_one_would_trap():
    facts = pair("roce8", ("172.16.0.11", "172.16.0.12"))
    facts[1]["interfaces"].append(plain.interface("ens12np0.7"))
    env = [entry["env"]["NCCL_SOCKET_IFNAME"] for entry in make(facts, interface="10.10.0.0/24").plan["nodes"]]

    assert env == [",".join(RAILS), "=" + ",".join(RAILS)]


def test_nodes_meet_on_the_card_that_the_route_leads_over():
    ways = [by("ens15np0", ("10.10.0.0", 24))] * 2
    chosen, _ = choose(pair("roce8", ("172.16.0.11", "172.16.0.12"), ways), "10.10.0.0/24")

    assert chosen == [("ens15np0", "10.10.0.15"), ("ens15np0", "10.10.0.25")]


def test_a_node_with_fewer_cards_of_the_network_is_named():
    facts = [*pair("roce8", ("172.16.0.11", "172.16.0.12")), *pair("roce8", ("172.16.0.11", "172.16.0.12"))[1:]]
    for entry in facts[2]["interfaces"]:
        for address in entry["addresses"]:
            address["address"] = address["address"].replace(".2", ".3")
        entry["flags"] = [] if entry["name"] == "ens18np0" else entry["flags"]
    facts[2]["interfaces"][0]["addresses"][0]["address"] = "172.16.0.13"
    chosen, problems = choose(facts, "10.10.0.0/24")

    assert (len(chosen), problems) == (3, [("CARDS_DIFFER", "n3")])


def test_a_master_address_chooses_its_network():
    facts = [plain.node(number) for number in (1, 2)]

    assert choose(facts, master="192.0.2.1") == ([("eno1", "192.0.2.1"), ("eno1", "192.0.2.2")], [])
    assert choose(facts, master="192.0.2.9")[1] == [("MASTER_ADDR_UNKNOWN", "n1")]


def test_a_master_address_of_a_routed_network():
    facts = pair("routed26", routes=[by("eth0", DEFAULT)] * 2)

    assert choose(facts, master="10.136.80.18")[0] == [("eth0", "10.136.80.18"), ("eth0", "10.136.80.68")]


# -- the networks of the job ---------------------------------------------------------------------------


def test_every_node_says_by_which_devices_it_is_to_reach_the_others():
    outcome = make([plain.node(number) for number in (1, 2)])

    assert [outcome.proof[host]["routes"] for host in ("n1", "n2")] == [
        {"source": f"198.51.100.{number}", "devices": ["ib0"]} for number in (1, 2)
    ]


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("roce8", "10.10.0.0/24", ["10.10.0.0/24"]),
        ("slash32", "198.51.100.0/24", ["198.51.100.0/24"]),
        ("slash32", "enp0s31f6", ["198.51.100.8/29"]),
        # It would cover docker0 as well.
        ("slash32", "0.0.0.0/0", ["198.51.100.8/29"]),
        ("routed26", "eth0", ["10.136.80.0/25"]),
    ],
)
def test_networks_for_programs_that_take_the_same_on_all_nodes(name, wanted, expected):
    facts = pair(name)
    chosen, _ = network_choice.choose(["n1", "n2"], facts, wanted)

    assert network_choice.cover(facts, chosen, wanted) == expected


def test_networks_are_listed_where_none_covers_them_alone():
    facts = pair("slash32")
    facts[0]["interfaces"].append(plain.interface("eth1", "198.51.100.10", 32))
    chosen, _ = network_choice.choose(["n1", "n2"], facts, "enp0s31f6")

    assert network_choice.cover(facts, chosen, "enp0s31f6") == ["198.51.100.11/32", "198.51.100.12/32"]


def test_verdicts_name_the_reason():
    facts = pair("linklocal-cable", ("192.168.1.51", "192.168.1.52"))
    chosen, _ = network_choice.choose(["n1", "n2"], facts, "enp1s0f1np1")
    verdicts = {row["interface"]: row["verdict"] for row in network_choice.explain(["n1", "n2"], facts, chosen)["n1"]}

    assert verdicts["enp1s0f1np1"] == "chosen"
    assert verdicts["enP2p1s0f1np1"] == "link-local address only"
    assert verdicts["enP7s7"].startswith("management network")


def test_verdicts_of_a_tunnel_and_of_rails():
    facts = pair("wireguard", ("192.168.1.121", "192.168.1.122"), wg0={"kind": "wireguard"})
    chosen, _ = network_choice.choose(["n1", "n2"], facts)
    tunnel = {row["interface"]: row["verdict"] for row in network_choice.explain(["n1", "n2"], facts, chosen)["n2"]}
    facts = pair("roce8", ("172.16.0.11", "172.16.0.12"))
    chosen, _ = network_choice.choose(["n1", "n2"], facts, "10.10.0.0/24")
    rows = [row["verdict"] for row in network_choice.explain(["n1", "n2"], facts, chosen)["n1"]]

    assert (tunnel["eno1"], tunnel["wg0"]) == ("chosen", "tunnel (wireguard): only by request")
    assert rows[1:] == ["chosen", *["chosen as well, for NCCL"] * 7]


def test_an_ifconfig_that_cannot_be_read_is_an_error_of_that_node():
    facts = [plain.node(1), plain.node(2, ifconfig_error="line 1 is 'x': it belongs to no interface", interfaces=[])]
    outcome = make(facts)

    assert [(entry["code"], entry["host"]) for entry in outcome.problems] == [("IFCONFIG_UNREADABLE", "n2")]
    assert "net-tools" in outcome.problems[0]["remedy"]


def test_cards_are_told_by_their_devices_not_by_their_names():
    names = {"wg0": plain.interface("wg0", "10.0.0.1"), "eth0": plain.interface("eth0", physical=False, kind="tun")}

    assert network_cards.software(names["wg0"], names) is None
    assert network_cards.software(names["eth0"], names) == "tunnel (tun)"


# -- several addresses of one card ----------------------------------------------------------------


def card(name, *addresses, **more):
    found = [
        dict(zip(("address", "prefix"), (text.partition("/")[0], int(text.partition("/")[2])))) for text in addresses
    ]
    return {**plain.interface(name), "addresses": found, **more}


def cluster(count, management, *cards_of):
    """Return nodes whose addresses have the node's number instead of ``%d``."""
    return [
        plain.node(
            n, interfaces=[make_card(n) for make_card in cards_of], management_address=management.replace("%d", str(n))
        )
        for n in range(1, count + 1)
    ]


def each(name, *addresses, **more):
    return lambda n: card(name, *(text.replace("%d", str(n)) for text in addresses), **more)


def dual(count, management, *more):
    return cluster(count, management, each("eno1", "10.81.3.%d/24", "2001:db8:5::%d/64", "2001:db8:5::a:%d/64"), *more)


V4, V6 = "10.81.3.%d", "2001:db8:5::%d"


@pytest.mark.parametrize("management", [V4, V6, "2001:db8:5::a:%d"])
def test_a_card_of_both_families_is_one_network_of_management_and_used_by_ipv4(management):
    data = each("ib0", "198.51.100.%d/24")
    down = each("ib0", "198.51.100.%d/24", **DOWN)
    managed = [("eno1", f"10.81.3.{n}") for n in (1, 2, 3)]

    assert choose(dual(3, management)) == (managed, [])
    assert choose(dual(3, management, data)) == ([("ib0", f"198.51.100.{n}") for n in (1, 2, 3)], [])
    assert choose(dual(3, management, down)) == (managed, [("MANAGEMENT_NETWORK", f"n{n}") for n in (1, 2, 3)])


def test_a_node_that_ssh_does_not_come_in_to_has_the_same_network_of_management():
    facts = dual(3, V4, each("ib0", "198.51.100.%d/24"))
    facts[0]["management_address"] = None

    assert choose(facts) == ([("ib0", f"198.51.100.{n}") for n in (1, 2, 3)], [])


def test_a_network_that_one_node_has_on_its_only_card_stays_one_for_data():
    facts = cluster(3, V4, each("eno1", "10.81.3.%d/24"), each("ib0", "198.51.100.%d/24"))
    facts[0]["interfaces"] = [card("eno1", "10.81.3.1/24", "198.51.100.1/24")]

    assert choose(facts) == ([("eno1", "198.51.100.1"), ("ib0", "198.51.100.2"), ("ib0", "198.51.100.3")], [])


def test_a_second_card_in_the_network_of_management_is_none_for_data():
    facts = dual(2, V4, each("eno2", "2001:db8:5::b:%d/64"))

    assert choose(facts) == ([("eno1", "10.81.3.1"), ("eno1", "10.81.3.2")], [])


@pytest.mark.parametrize(
    ("addresses", "management", "expected"),
    [
        (["10.0.0.%d/24", "10.0.0.10%d/24"], "192.0.2.%d", "10.0.0.%d"),
        (["10.0.0.%d/24", "10.0.0.10%d/24"], "10.0.0.10%d", "10.0.0.10%d"),
        (["10.0.0.%d/24", "10.1.0.%d/24"], "10.1.0.%d", "10.1.0.%d"),
        (["10.9.%d.1/32", "10.0.0.%d/24"], "192.0.2.%d", "10.0.0.%d"),
        (["2001:db8::%d/64", "2001:db8::a:%d/64"], "192.0.2.%d", "2001:db8::%d"),
        (["2001:db8::%d/64", "2001:db8::a:%d/64"], "2001:db8::a:%d", "2001:db8::a:%d"),
    ],
)
def test_several_addresses_of_one_card_are_one_choice(addresses, management, expected):
    facts = cluster(2, management, each("eth0", *addresses))

    assert choose(facts) == ([("eth0", expected.replace("%d", str(n))) for n in (1, 2)], [])


@pytest.mark.parametrize("prefix", [24, 32])
def test_an_address_that_one_node_keeps_alive_for_others_is_not_taken(prefix):
    facts = cluster(3, "192.0.2.%d", each("eth0", "10.0.0.%d/24"))
    for fact in facts:
        fact["routes"] = by("eth0", ("10.0.0.0", 24))
    facts[0]["interfaces"] = [card("eth0", "10.0.0.1/24", f"10.0.0.100/{prefix}")]

    assert choose(facts) == ([("eth0", f"10.0.0.{n}") for n in (1, 2, 3)], [])


def test_addresses_in_another_order_are_of_one_network_all_the_same():
    facts = cluster(2, "192.0.2.%d", each("eth0", "10.0.0.%d/24", "10.1.0.%d/24"))
    facts[1]["interfaces"][0]["addresses"].reverse()
    expected = [("eth0", "10.0.0.1"), ("eth0", "10.0.0.2")]

    assert choose(facts) == (expected, [])
    assert choose(facts, "eth0") == (expected, [])
    assert choose(facts, "10.0.0.0/8") == (expected, [])


def test_two_cards_are_ambiguous_however_many_addresses_they_have():
    facts = cluster(2, "192.0.2.%d", each("eth0", "10.0.0.%d/24", "10.0.0.10%d/24"), each("eth1", "10.1.0.%d/24"))

    assert choose(facts)[1] == [("INTERFACE_AMBIGUOUS", "n1"), ("INTERFACE_AMBIGUOUS", "n2")]


@pytest.mark.parametrize(
    ("name", "addresses", "expected"),
    [
        ("lo", ["127.0.0.1/8", "10.255.0.%d/32"], "10.255.0.%d"),
        ("eth0", ["10.99.0.1/32", "10.0.0.%d/24"], "10.0.0.%d"),
        ("eth0", ["10.0.0.%d/24", "10.99.0.1/32"], "10.0.0.%d"),
    ],
)
def test_what_all_nodes_have_of_a_card_that_is_asked_for_is_passed_by(name, addresses, expected):
    facts = cluster(3, "192.0.2.%d", each(name, *addresses))

    assert choose(facts, name) == ([(name, expected.replace("%d", str(n))) for n in (1, 2, 3)], [])


def test_a_node_that_has_only_what_all_nodes_have_is_named():
    facts = cluster(3, "192.0.2.%d", each("lo", "127.0.0.1/8", "10.255.0.%d/32"))
    facts[1]["interfaces"] = [card("lo", "127.0.0.1/8")]

    assert choose(facts, "lo") == ([], [("ADDRESS_TWICE", "n2")])
    assert "127.0.0.1 of lo is also on n1, n3" in messages(facts, "lo")[0]


def test_an_address_that_another_node_keeps_on_a_card_that_is_down_is_no_reason_to_refuse_one():
    facts = cluster(2, "192.0.2.%d", each("eth0", "10.0.0.%d/24"))
    facts[1]["interfaces"].append(card("eth5", "10.0.0.1/24", **DOWN))

    assert choose(facts, "eth0") == ([("eth0", "10.0.0.1"), ("eth0", "10.0.0.2")], [])


# -- cards that only some nodes have --------------------------------------------------------------


@pytest.mark.parametrize("unused", [DOWN, {**DOWN, **BARE}, {**DARK, **BARE}])
def test_a_card_that_one_node_alone_uses_was_not_meant(unused):
    facts = cluster(4, "10.0.0.%d", each("eth0", "10.0.0.%d/24"), each("eth1", "172.30.%d.7/24", **unused))
    facts[0]["interfaces"][1] = card("eth1", "203.0.113.7/24")

    assert choose(facts) == ([("eth0", f"10.0.0.{n}") for n in (1, 2, 3, 4)], [])


def test_a_port_for_rdma_that_one_node_alone_has_was_not_meant():
    facts = cluster(3, "10.0.0.%d", each("eth0", "10.0.0.%d/24"))
    facts[0]["interfaces"].append(card("ib0", **DARK, rdma=True))

    assert choose(facts)[1] == []


@pytest.mark.parametrize("addresses", ["198.51.100.%d/24", "10.168.%d.2/31"])
def test_a_card_that_two_nodes_use_was_meant(addresses):
    facts = cluster(5, "10.0.0.%d", each("eth0", "10.0.0.%d/24"), each("ib0", addresses))
    for fact in facts[2:]:
        fact["interfaces"][1].update(DARK, addresses=[])

    assert choose(facts)[1] == [("MANAGEMENT_NETWORK", f"n{n}") for n in (3, 4, 5)]


# -- several cards that were asked for ------------------------------------------------------------


def test_cards_of_several_networks_with_different_mtus_are_no_rails():
    facts = cluster(2, "192.0.2.%d", each("eth0", "10.0.0.%d/24"), each("eth1", "10.0.1.%d/24", mtu=1500))

    assert choose(facts, "10.0.0.0/16") == ([], [("INTERFACE_AMBIGUOUS", "n1"), ("INTERFACE_AMBIGUOUS", "n2")])


def test_a_node_with_one_card_in_several_networks_has_nothing_to_choose():
    facts = cluster(2, "10.0.1.%d", each("eth0", "10.0.0.%d/24"), each("eth1", "10.0.1.%d/24"))
    facts[0]["interfaces"] = [card("eth0", "10.0.0.1/24", "10.0.1.1/24")]

    assert choose(facts, "10.0.0.0/16") == ([], [("INTERFACE_AMBIGUOUS", "n2")])


def test_of_each_other_rail_the_first_address_is_named():
    facts = cluster(2, "192.0.2.%d", each("eth0", "10.0.0.%d/24"), each("eth1", "10.0.1.%d/24", "10.0.1.10%d/24"))
    chosen, _ = network_choice.choose(hosts_of(facts), facts, "10.0.0.0/16")

    assert [[c.address for c in own.also] for own in chosen] == [["10.0.1.1"], ["10.0.1.2"]]


def test_what_qualifies_says_so_where_nothing_could_be_chosen():
    facts = cluster(2, "192.0.2.%d", each("eth0", "10.0.0.%d/24"), each("eth1", "10.1.0.%d/24"))
    rows = network_choice.explain(hosts_of(facts), facts, [])["n2"]

    assert {row["interface"]: row["verdict"] for row in rows} == dict.fromkeys(("eth0", "eth1"), "qualifies")
