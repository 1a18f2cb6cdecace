# SPDX-License-Identifier: Apache-2.0
"""
The parser against golden files, and against the jc library as an independent judge.

The files are written in the formats of net-tools as distributions ship it, of busybox and of inetutils,
with addresses of the documentation ranges; they are not taken from machines.
"""

import shutil
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

import jc
import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._probe.ifconfig_text import Unreadable, parse
from tests import hostile

GOLDEN = Path(__file__).parent / "ifconfig"
PLAIN = "UP BROADCAST RUNNING MULTICAST"
PORT = "UP BROADCAST RUNNING SLAVE MULTICAST"
MASTER = "UP BROADCAST RUNNING MASTER MULTICAST"
TUNNEL = "UP POINTOPOINT RUNNING NOARP MULTICAST"
LOOPBACK = ("lo", "UP LOOPBACK RUNNING", 65536, None, ["127.0.0.1/8", "::1/128"])

# A file: its interfaces in order, each name, flags, mtu in bytes, Ethernet address, addresses.
EXPECTED = {
    "busybox": [
        ("eth0", PLAIN, 1500, "02:42:ac:11:00:02", ["192.0.2.71/24", "2001:db8::71/64"]),
        ("enp65s0f0np0", PLAIN, 9000, "02:42:ac:11:00:03", ["198.51.100.71/24"]),
        LOOPBACK,
        ("wg0", "UP POINTOPOINT RUNNING NOARP", 1420, None, ["203.0.113.71/32"]),
    ],
    "debian": [
        ("eno1", PLAIN, 1500, "8e:d9:99:48:33:23", ["192.0.2.11/24", "2001:db8::11/64", "198.51.100.7/25"]),
        ("enx0123456789ab", "BROADCAST MULTICAST", 9000, "01:23:45:67:89:ab", []),
        LOOPBACK,
    ],
    "inetutils": [
        ("lo", "UP LOOPBACK RUNNING", 65536, None, ["127.0.0.1/8"]),
        ("eth0", PLAIN, 1500, "02:00:00:00:04:01", ["192.0.2.11/24"]),
        ("enp129s0f0np0", PLAIN, 9000, "02:00:00:00:04:02", ["198.51.100.11/24"]),
    ],
    "nettools160": [
        ("eth0", PLAIN, 1500, "52:54:00:ab:10:0a", ["192.0.2.10/24", "2001:db8::10/64", "198.51.100.10/25"]),
        ("eth1", "BROADCAST MULTICAST", 9000, "52:54:00:ab:10:0b", []),
        ("enp216s0f0np0", PLAIN, 9000, "52:54:00:ab:10:0c", ["203.0.113.10/24"]),
        ("enp216s0f0np0.100", PLAIN, 9000, "52:54:00:ab:10:0c", ["198.51.100.130/26"]),
        ("ib0", PLAIN, 65520, None, ["203.0.113.129/25"]),
        LOOPBACK,
        ("sit0", "NOARP", 1480, None, []),
        ("tun0", TUNNEL, 1500, None, ["203.0.113.65/32"]),
    ],
    "rhel7": [
        ("em1", PORT, 9000, "24:8a:07:10:20:30", []),
        ("em2", PORT, 9000, "24:8a:07:10:20:30", []),
        ("bond0", MASTER, 9000, "24:8a:07:10:20:30", []),
        ("bond0.100", PLAIN, 9000, "24:8a:07:10:20:30", ["198.51.100.21/24", "2001:db8:100::21/64"]),
        ("br0", PLAIN, 9000, "24:8a:07:10:20:30", ["192.0.2.21/25"]),
        ("docker0", "UP BROADCAST MULTICAST", 1500, "02:42:5e:01:02:03", ["172.17.0.1/16"]),
        ("ib0", PLAIN, 65520, None, ["203.0.113.21/24"]),
        LOOPBACK,
        ("virbr0", "UP BROADCAST MULTICAST", 1500, "52:54:00:0a:0b:0c", ["192.168.122.1/24"]),
        ("virbr0-nic", "BROADCAST MULTICAST", 1500, "52:54:00:0a:0b:0c", []),
    ],
    "rhel8": [
        ("eno1", PLAIN, 1500, "40:a6:b7:01:02:31", ["192.0.2.31/24"]),
        ("ens1f0", PLAIN, 9000, "04:3f:72:aa:bb:10", []),
        ("ens1f1", PLAIN, 9000, "04:3f:72:aa:bb:10", []),
        ("team0", PLAIN, 9000, "04:3f:72:aa:bb:10", ["203.0.113.31/24", "2001:db8:3::31/64"]),
        LOOPBACK,
    ],
    "rhel9": [
        ("eno8303", PLAIN, 1500, "b4:7c:b0:01:00:41", ["192.0.2.41/24", "2001:db8::41/64"]),
        ("enp1s0f0np0.2048", PLAIN, 9000, "58:a2:e1:0a:0b:0c", ["198.51.100.41/24"]),
        ("enp1s0f0np0", PLAIN, 9000, "58:a2:e1:0a:0b:0c", []),
        ("ibp65s0", PLAIN, 2044, None, ["203.0.113.41/24"]),
        LOOPBACK,
        ("tun0", TUNNEL, 1500, None, ["203.0.113.201/32"]),
    ],
    "sles12": [
        ("bond0", MASTER, 1500, "ac:1f:6b:00:12:01", ["192.0.2.51/24", "2001:db8:5::51/64"]),
        ("eth0", PORT, 1500, "ac:1f:6b:00:12:01", []),
        ("eth1", "UP BROADCAST SLAVE MULTICAST", 1500, "ac:1f:6b:00:12:01", []),
        LOOPBACK,
        ("vlan2048", PLAIN, 1500, "ac:1f:6b:00:12:01", ["198.51.100.51/24", "198.51.100.57/32"]),
    ],
    "sles15": [
        ("br0", PLAIN, 1500, "3c:ec:ef:10:00:61", ["192.0.2.61/24", "2001:db8:6::61/64", "198.51.100.61/32"]),
        ("eth0", PLAIN, 1500, "3c:ec:ef:10:00:61", []),
        ("eth1", "BROADCAST MULTICAST", 1500, "3c:ec:ef:10:00:62", []),
        LOOPBACK,
        ("sit0", "NOARP", 1480, None, []),
    ],
}
# jc cannot read the addresses of a point-to-point link in the old format.
JC_BLIND = {"nettools160": ["tun0"], "busybox": ["wg0"]}
# It needs a blank after every name.
KNOWN_TO_JC = [name for name in EXPECTED if name != "inetutils"]


def golden(name):
    return (GOLDEN / f"{name}.txt").read_text()


def test_every_golden_file_is_expected():
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_golden_file(name):
    found = [
        (
            entry["name"],
            " ".join(entry["flags"]),
            entry["mtu"],
            entry["ether"],
            ["{address}/{prefix}".format(**address) for address in entry["addresses"]],
        )
        for entry in parse(golden(name))
    ]

    assert found == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_golden_file_has_the_same_shape(name):
    for entry in parse(golden(name)):
        assert sorted(entry) == ["addresses", "ether", "flags", "mtu", "name"]
        assert all(sorted(address) == ["address", "prefix"] for address in entry["addresses"])


def judged(text):
    """What jc sees, in our terms: flags, mtu and IPv4 addresses, aliases folded into their interface."""
    found = {}
    for entry in jc.parse("ifconfig", text, quiet=True):
        # jc leaves the old format's flags in one string.
        flags = " ".join(entry.get("state") or []).split()
        name = entry["name"].partition(":")[0]
        _, _, addresses = found.setdefault(name, (flags, entry.get("mtu"), []))
        addresses += [(a["address"], a["mask"]) for a in entry.get("ipv4", [])]
    return found


def ours(text):
    return {
        entry["name"]: (
            entry["flags"],
            entry["mtu"],
            [
                (a["address"], str(IPv4Network(f"0.0.0.0/{a['prefix']}").netmask))
                for a in entry["addresses"]
                if ":" not in a["address"]
            ],
        )
        for entry in parse(text)
    }


@pytest.mark.parametrize("name", KNOWN_TO_JC)
def test_golden_file_against_jc(name):
    found, expected = ours(golden(name)), judged(golden(name))
    for blind in JC_BLIND.get(name, []):
        assert found.pop(blind)[:2] == expected.pop(blind)[:2]

    assert found == expected


# jc knows no global scope in the old format.
@pytest.mark.parametrize("name", ["debian", "rhel7", "rhel8", "rhel9", "sles15"])
def test_ipv6_of_golden_file_against_jc(name):
    expected = [
        (entry["name"], address["address"], address["mask"])
        for entry in jc.parse("ifconfig", golden(name), quiet=True)
        for address in entry.get("ipv6", [])
        if not address["address"].startswith("fe80:")
    ]
    found = [
        (entry["name"], address["address"], address["prefix"])
        for entry in parse(golden(name))
        for address in entry["addresses"]
        if ":" in address["address"]
    ]

    assert found == expected
    assert found


@pytest.mark.skipif(shutil.which("ifconfig") is None, reason="no ifconfig on this machine")
def test_this_machine_against_jc():
    text = subprocess.run(["ifconfig", "-a"], capture_output=True, text=True, check=True).stdout

    assert ours(text) == judged(text)


@pytest.mark.parametrize(
    "text",
    [
        "dummy0: flags=0<>  mtu 1500\n",
        "dummy0    Link encap:Ethernet  HWaddr 0A:00:00:00:00:01  \n          [NO FLAGS]  MTU:1500  Metric:1\n",
    ],
)
def test_an_interface_without_flags(text):
    assert [(entry["name"], entry["flags"], entry["mtu"]) for entry in parse(text)] == [("dummy0", [], 1500)]


def test_the_flags_of_an_alias_are_not_its_interface_s():
    text = (
        "eth0      Link encap:Ethernet  HWaddr 0A:00:00:00:00:01  \n"
        "          UP BROADCAST RUNNING PROMISC MULTICAST  MTU:9000  Metric:1\n"
        "\n"
        "eth0:0    Link encap:Ethernet  HWaddr 0A:00:00:00:00:01  \n"
        "          inet addr:192.0.2.9  Bcast:192.0.2.255  Mask:255.255.255.0\n"
        "          UP BROADCAST  MTU:1500  Metric:1\n"
    )
    (eth0,) = parse(text)

    assert (eth0["flags"], eth0["mtu"]) == (["UP", "BROADCAST", "RUNNING", "PROMISC", "MULTICAST"], 9000)
    assert eth0["addresses"] == [{"address": "192.0.2.9", "prefix": 24}]


HEAD = "eth0: flags=4163<UP,BROADCAST>  mtu 1500\n"
OLD_HEAD = "eth0      Link encap:Ethernet  HWaddr 0A:00:00:00:00:01  \n"
INET = "        inet 192.0.2.1  netmask 255.255.255.0  broadcast 192.0.2.255\n"
STRANGE = {
    "nothing": "",
    "prose": "garbage\n",
    "a name alone": "eth0: no flags here\n",
    "a name alone, old": "eth0      no link here\n",
    "details of nothing": INET,
    "a first line that is indented": HEAD + INET + "  eth1: flags=4163<UP>  mtu 1500\n" + INET,
    "an old first line that is indented": OLD_HEAD + "  eth1      Link encap:Ethernet\n",
    "a first line that lost its colon": HEAD + INET + "eth1 flags=4163<UP>  mtu 1500\n",
    "details after a blank line": HEAD + INET + "\n" + INET,
    "two addresses": HEAD + INET + INET,
    "an address after the counters": HEAD + "        RX packets 0  bytes 0 (0.0 B)\n" + INET,
    "the same name twice": HEAD + INET + "\n" + HEAD,
    "an alias of nothing": "eth0:1: flags=4163<UP>  mtu 1500\n",
    "an address that is none": HEAD + "        inet 192.0.2.256  netmask 255.255.255.0\n",
    "a mask that is none": HEAD + "        inet 192.0.2.1  netmask 255.0.255.0\n",
    "a prefix that is none": HEAD + "        inet6 2001:db8::1  prefixlen 129  scopeid 0x0<global>\n",
    "half a line": HEAD + "        inet 192.0.2.1  netm\n",
    "another system's": "en0: flags=8863<UP,BROADCAST> mtu 1500\n\tinet 192.0.2.1 netmask 0xffffff00 broadcast 192.0.2.255\n",
    "another format of inetutils": "eth0 (2):\n  inet address 192.0.2.1\n  netmask 255.255.255.0\n",
}


@pytest.mark.parametrize("case", STRANGE)
def test_text_that_no_known_ifconfig_prints_is_an_error(case):
    with pytest.raises(Unreadable):
        parse(STRANGE[case])


def owners(text):
    """Return, by an independent parser, the words in column one above each address."""
    found, head = {}, ""
    for line in text.split("\n"):
        if line[:1].strip():
            head = line
        for word in line.replace("addr:", " ").split():
            found.setdefault(word.partition("/")[0].partition("%")[0], set()).add(head)
    return found


@pytest.mark.fuzz
def test_a_mutated_text_gives_no_address_to_another_interface(rounds):
    samples = [path.read_bytes() for path in sorted(GOLDEN.glob("*.txt"))]
    read = 0
    for data in hostile.mutated(samples, rounds):
        text = data.decode("utf-8", "replace")
        try:
            found = parse(text)
        except Unreadable as error:
            assert hostile.is_harmless(str(error))
            continue
        read += 1
        heads = owners(text)
        for entry in found:
            for address in entry["addresses"]:
                own = heads[address["address"]]
                assert any(head.startswith(entry["name"]) for head in own), (entry["name"], address, own)
    assert read > rounds // 20
