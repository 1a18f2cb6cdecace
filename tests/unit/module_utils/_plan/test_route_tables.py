# SPDX-License-Identifier: Apache-2.0
"""What the kernel reports of devices and routes, and how the planner reads route tables."""

import errno
import random
import socket
import struct
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._arm import prove
from ansible_collections.madctl.multinode.plugins.module_utils._node import netlink, resolver
from ansible_collections.madctl.multinode.plugins.module_utils._plan import route_tables
from tests import hostile

HAS_NETLINK = hasattr(socket, "AF_NETLINK") and bool(netlink.links())
linux = pytest.mark.skipif(not HAS_NETLINK, reason="no netlink here")


@linux
def test_this_machine_s_devices_are_those_of_sysfs():
    found = netlink.links()

    assert set(found) == {path.name for path in Path("/sys/class/net").iterdir() if path.is_dir()}
    assert found["lo"] == {"kind": None, "peer": None}


@linux
def test_this_machine_reaches_itself_by_loopback():
    assert netlink.devices_to("127.0.0.1", ["127.0.0.2", "127.0.0.3"]) == {
        "127.0.0.2": ["lo"],
        "127.0.0.3": ["lo"],
    }


def test_a_kernel_that_does_not_answer_is_no_error(monkeypatch):
    def closed(*_):
        raise OSError("no such family")

    monkeypatch.setattr(netlink.socket, "socket", closed)

    assert (netlink.links(), netlink.routes(), netlink.devices_to("127.0.0.1", ["127.0.0.2"])) == ({}, None, {})
    assert prove.elsewhere("127.0.0.1", ["eth0"], ["127.0.0.2"]) is None
    assert prove.elsewhere("127.0.0.1", ["eth0"], []) == {}


class Kernel:
    """A netlink socket that answers each request with what comes next: an errno, a message, or what is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def send(self, _):
        if isinstance(self.answers[0], Exception):
            raise self.answers.pop(0)

    def recv(self, _):
        answer = self.answers.pop(0)
        kind, body = (2, struct.pack("=i", -answer)) if isinstance(answer, int) else (24, answer)
        return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def elsewhere(monkeypatch, *answers):
    """Return what is found for each answer of the kernel about one peer, 10.0.0.1 and so on."""
    monkeypatch.setattr(netlink, "_open", lambda: Kernel(*answers))
    monkeypatch.setattr(netlink, "_name_of", lambda number: f"eth{number}")
    return prove.elsewhere("10.0.0.9", ["eth1"], [f"10.0.0.{number}" for number in range(1, len(answers) + 1)])


REFUSALS = [errno.EACCES, errno.EINVAL, errno.ENETUNREACH, errno.EHOSTUNREACH]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_route_that_refuses_is_none_and_hides_no_other(monkeypatch, refusal):
    fine, other = route("10.0.0.0", 8, 1), route("10.0.0.0", 8, 2)

    assert elsewhere(monkeypatch, refusal, fine, other) == {"": ["10.0.0.1"], "eth2": ["10.0.0.3"]}


@pytest.mark.parametrize("kind", [6, 7, 8])
def test_a_route_of_ipv6_that_refuses_has_a_device_and_is_none(monkeypatch, kind):
    assert elsewhere(monkeypatch, route("10.0.0.0", 8, 1, kind=kind)) == {"": ["10.0.0.1"]}


@pytest.mark.parametrize(
    "silence",
    [errno.EOPNOTSUPP, errno.EPERM, PermissionError(errno.EACCES, "denied"), socket.timeout(), b"", b"x" * 13],
)
def test_a_peer_that_the_kernel_says_nothing_of_is_not_proven(monkeypatch, silence):
    fine, other = route("10.0.0.0", 8, 1), route("10.0.0.0", 8, 2)

    assert elsewhere(monkeypatch, silence) is None
    assert elsewhere(monkeypatch, fine, silence) is None
    assert elsewhere(monkeypatch, other, silence) == {"eth2": ["10.0.0.1"]}
    assert elsewhere(monkeypatch, fine, fine) == {}


def test_a_name_that_no_resolver_takes_hides_no_other():
    assert resolver.loopback_names(["a" * 64, "localhost"]) == {"localhost": resolver.resolve("localhost")[0]}


def route(network, length, index, kind=1, table=254, metric=None, gateways=()):
    """Write struct rtmsg and its attributes as the kernel does."""
    attributes = [(1, socket.inet_aton(network))] if length else []
    attributes += [(4, struct.pack("=i", index))] if index else []
    attributes += [(6, struct.pack("=I", metric))] if metric else []
    hops = b"".join(struct.pack("=HBBi", 8, flags, 0, number) for number, flags in gateways)
    attributes += [(9, hops)] if hops else []
    data = b"".join(struct.pack("=HH", 4 + len(value), name) + value for name, value in attributes)
    return struct.pack("=BBBBBBBBI", socket.AF_INET, length, 0, 0, table, 0, 0, kind, 0) + data


def routes_of(monkeypatch, *messages):
    monkeypatch.setattr(netlink, "_dump", lambda *_: iter(messages))
    monkeypatch.setattr(netlink, "_name_of", lambda number: f"eth{number}")
    return netlink.routes()


def test_routes_are_as_short_as_what_they_say(monkeypatch):
    found = routes_of(
        monkeypatch,
        route("0.0.0.0", 0, 1),
        route("10.0.0.0", 8, 2),
        route("10.1.0.0", 16, 2),
        route("10.1.2.0", 24, 3),
        route("10.2.0.0", 16, 1),
        route("10.2.3.0", 24, 2, table=100),
    )

    assert found == [
        ("0.0.0.0", 0, ["eth1"]),
        ("10.0.0.0", 8, ["eth2"]),
        ("10.1.2.0", 24, ["eth3"]),
        ("10.2.0.0", 16, ["eth1"]),
    ]


def test_the_route_with_the_smallest_metric_counts(monkeypatch):
    found = routes_of(
        monkeypatch,
        route("0.0.0.0", 0, 1, metric=200),
        route("0.0.0.0", 0, 2, metric=100),
        route("0.0.0.0", 0, 3, metric=100),
    )

    assert found == [("0.0.0.0", 0, ["eth2"])]


def test_a_route_of_several_paths_and_one_that_refuses(monkeypatch):
    found = routes_of(
        monkeypatch, route("10.0.0.0", 8, 0, gateways=[(1, 0), (2, 0), (3, 1)]), route("10.9.0.0", 16, 0, kind=6)
    )

    assert found == [("10.0.0.0", 8, ["eth1", "eth2"]), ("10.9.0.0", 16, [])]


def test_more_routes_than_can_be_reasoned_with_are_not_known(monkeypatch):
    assert routes_of(monkeypatch, *[route("10.0.0.0", 8, 1)] * 10001) is None


@pytest.mark.fuzz
def test_a_message_that_is_cut_or_changed_ends(rounds, monkeypatch):
    samples = [route("10.0.0.0", 8, 0, gateways=[(1, 0), (2, 0)]), route("10.1.2.0", 24, 3, metric=7)]
    for data in hostile.mutated(samples, rounds):
        found = routes_of(monkeypatch, data.ljust(12, b"\0"))
        assert found is None or len(found) <= 1


def test_a_table_answers_as_a_search_through_all_routes_does():
    source = random.Random(7)
    for _ in range(300):
        routes = {}
        for _ in range(source.randint(0, 12)):
            length = source.choice([0, 8, 15, 16, 23, 24, 31, 32])
            network = ip_network(
                (source.choice([0x0A000000, 0x0A010200, 0]) + source.getrandbits(10), length), strict=False
            )
            routes[network] = source.choice([["a"], ["b"], ["a", "b"], []])
        table = route_tables.Table([[str(n.network_address), n.prefixlen, names] for n, names in routes.items()])
        for _ in range(40):
            address = ip_address(source.choice([0x0A000000, 0x0A010200, 0, 0xFFFFFF00]) + source.getrandbits(8))
            best = max((n for n in routes if address in n), key=lambda n: n.prefixlen, default=None)
            for name in "ab":
                expected = best is not None and name in routes[best]
                assert table.carries(name, str(address)) == expected, (routes, address)
                assert table.carries(name, str(address), 1) == (expected and best.prefixlen > 0)


@pytest.mark.parametrize(
    "routes",
    [None, [], 7, "routes", [7], [["10.0.0.0", 8]], [["x", 8, ["a"]]], [["10.0.0.0", 99, ["a"]]], [["::", 0, ["a"]]]],
)
def test_what_can_be_no_table_is_an_empty_one(routes):
    assert not route_tables.Table(routes).carries("a", "10.0.0.1")
