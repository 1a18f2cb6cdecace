# SPDX-License-Identifier: Apache-2.0
"""Who asks the nodes of a run starts no Ansible, where it is known how they are reached, and Ansible where it is not."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from madctl.lab import state
from tests.integration.command import madctl

pytestmark = pytest.mark.lab


@pytest.fixture
def ansible(tmp_path):
    """Settings with which Ansible writes a log, and how many playbooks are in it."""
    log = tmp_path / "ansible.log"
    return {"ANSIBLE_LOG_PATH": str(log)}, lambda: log.read_text().count("PLAY RECAP") if log.exists() else 0


def test_commands_of_a_run_start_no_ansible(lab, ansible, tmp_path):
    environment, calls = ansible
    words = ["--lab", lab.name, "--hosts", "node[1-3]", "--command", "--", "sh", "-c", "echo out of $MADCTL_RUN_ID"]
    assert madctl("launch", *words, env=environment).code == 0
    assert calls() == 1

    assert "node3" in madctl("status", env=environment).out
    assert madctl("logs", env=environment).out.count("out of 2") == 3
    assert madctl("attach", env=environment).code == 0
    assert madctl("collect", "--to", str(tmp_path / "got"), env=environment).code == 0
    assert sorted(os.listdir(tmp_path / "got")) == ["node1", "node2", "node3", "report.html"]
    assert madctl("ps", "--lab", lab.name, "--hosts", "node[1-3]", env=environment).code == 0
    assert madctl("stop", env=environment).code == 0
    assert calls() == 1


def test_a_changed_inventory_has_ansible_asked_once_more(lab, ansible, tmp_path):
    environment, calls = ansible
    listed = tmp_path / "hosts.yml"
    shutil.copy(state.directory(lab.name) / "inventory.yml", listed)
    words = ["-i", str(listed), "--limit", "node1,node2", "--command", "--", "true"]
    assert madctl("launch", *words, env=environment).code == 0
    assert madctl("status", env=environment).code == 0
    before = calls()

    listed.write_text(listed.read_text() + "# changed\n")
    assert madctl("status", env=environment).code == 0
    assert calls() == before + 1
    assert madctl("status", env=environment).code == 0
    assert calls() == before + 1


def test_an_inventory_that_is_a_program_is_asked_each_time(lab, ansible, tmp_path):
    environment, calls = ansible
    program = tmp_path / "hosts"
    source = state.directory(lab.name) / "inventory.yml"
    program.write_text(f"#!/bin/sh\nexec {Path(sys.executable).with_name('ansible-inventory')} -i {source} --list\n")
    program.chmod(0o755)
    assert (
        madctl("launch", "-i", str(program), "--limit", "node1", "--command", "--", "true", env=environment).code == 0
    )
    before = calls()

    assert madctl("status", env=environment).code == 0
    assert madctl("logs", env=environment).code == 0
    assert calls() == before + 2
