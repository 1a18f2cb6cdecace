# SPDX-License-Identifier: Apache-2.0
"""The example inventories can be read, and the table of variables names every option and no variable that is none."""

import json
import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from madctl.cli import build_parser

ROOT = Path(__file__).parents[2]
DOCUMENTATION = [ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
EXPECTED = {"example.yml": 2, "site": 3, "gpu.hostlist.yml": 17}


@pytest.mark.parametrize("name", EXPECTED)
def test_examples_can_be_read(name):
    argv = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(ROOT / "inventory" / name), "--list"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT / "inventory", check=True)

    assert len(json.loads(done.stdout)["_meta"]["hostvars"]) == EXPECTED[name], done.stderr
    assert "WARNING" not in done.stderr


def test_addresses_are_those_of_documents():
    for path in (ROOT / "inventory").rglob("*.*"):
        for address in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", path.read_text()):
            assert any(ip_address(address) in network for network in DOCUMENTATION), (path, address)


def rows():
    text = (ROOT / "docs/reference/playbooks.md").read_text().partition("## Variables")[2]
    return re.findall(r"^\| (`--[^|]+)\|[ ]*(?:`(madctl_\w+)`)?[ ]*\|", text, re.M)


def test_every_option_of_a_launch_has_its_variable():
    (commands,) = [action for action in build_parser()._actions if hasattr(action, "choices") and action.choices]
    options = {option for action in commands.choices["launch"]._actions for option in action.option_strings}
    named = [option for cell, _ in rows() for option in re.findall(r"--[a-z-]+", cell)]

    # An option that two schedulers take has a variable for each.
    assert sorted(set(named)) == sorted(options - {"-h", "--help", "--help-all", "-i", "--inventory"})


def test_every_variable_of_the_table_is_one_of_a_role():
    known = "".join(path.read_text() for path in [*ROOT.glob("roles/*/defaults/*.yml"), *ROOT.glob("playbooks/*.yml")])

    for _, variable in rows():
        assert not variable or re.search(rf"\b{variable}\b", known), variable
