# SPDX-License-Identifier: Apache-2.0
"""The parser against a golden file, and against the jc library as an independent judge."""

import shutil
import subprocess
from pathlib import Path

import jc
import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._ifconfig import parse

GOLDEN = Path(__file__).parent / "ifconfig" / "debian.txt"


def judged(text):
    """What jc sees, in our terms: name and IPv4 addresses, aliases folded into their interface."""
    found = {}
    for entry in jc.parse("ifconfig", text, quiet=True):
        addresses = found.setdefault(entry["name"].partition(":")[0], [])
        addresses += [(a["address"], a["mask"]) for a in entry.get("ipv4", [])]
    return found


def ours(text):
    from ipaddress import IPv4Network

    return {
        entry["name"]: [
            (a["address"], str(IPv4Network(f"0.0.0.0/{a['prefix']}").netmask))
            for a in entry["addresses"]
            if ":" not in a["address"]
        ]
        for entry in parse(text)
    }


def test_golden_file():
    parsed = {entry["name"]: entry for entry in parse(GOLDEN.read_text())}

    assert list(parsed) == ["eno1", "enx0123456789ab", "lo"]
    assert parsed["eno1"]["addresses"] == [
        {"address": "192.0.2.11", "prefix": 24},
        {"address": "2001:db8::11", "prefix": 64},
        {"address": "198.51.100.7", "prefix": 25},
    ]
    assert parsed["enx0123456789ab"]["flags"] == ["BROADCAST", "MULTICAST"]
    assert (parsed["enx0123456789ab"]["mtu"], parsed["enx0123456789ab"]["ether"]) == (9000, "01:23:45:67:89:ab")


def test_golden_file_against_jc():
    assert ours(GOLDEN.read_text()) == judged(GOLDEN.read_text())


@pytest.mark.skipif(shutil.which("ifconfig") is None, reason="no ifconfig on this machine")
def test_this_machine_against_jc():
    text = subprocess.run(["ifconfig", "-a"], capture_output=True, text=True, check=True).stdout

    assert ours(text) == judged(text)


@pytest.mark.parametrize("text", ["", "garbage\n", "eth0: no flags here\n"])
def test_nothing_is_found_in_what_is_no_output(text):
    assert parse(text) == []
