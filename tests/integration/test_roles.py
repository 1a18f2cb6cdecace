# SPDX-License-Identifier: Apache-2.0
"""Roles used alone, from another playbook, and the check without the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from madctl.lab import state
from tests.integration import playbook_results
from tests.integration.storage_cluster import HOSTS, traces

pytestmark = pytest.mark.lab
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


def play(lab, tmp_path, role, variables, result):
    """Run one role on three hosts and give what it registered, or what it said."""
    text = [
        {
            "hosts": ",".join(HOSTS),
            "gather_facts": False,
            "roles": [{"role": f"madctl.multinode.{role}", "vars": variables}],
            "post_tasks": [
                {
                    "copy": {"content": f"{{{{ {result} | to_json }}}}", "dest": str(tmp_path / "result")},
                    "delegate_to": "localhost",
                    "run_once": True,
                }
            ],
        }
    ]
    path = tmp_path / "play.yml"
    path.write_text(json.dumps(text))
    argv = [str(PLAYBOOK), "-i", str(state.directory(lab.name) / "inventory.yml"), str(path)]
    done = playbook_results.play(argv, os.environ, tmp_path)
    found = json.loads((tmp_path / "result").read_text()) if done.returncode == 0 else None
    return done, found


def test_network_interface_alone(storage_cluster, tmp_path):
    lab, _, _ = storage_cluster
    done, found = play(lab, tmp_path, "network_interface", {}, "network_interface_result")

    assert done.returncode == 0, done.stdout
    assert {host: node["interface"] for host, node in found["nodes"].items()} == {
        "node1": "ens14np0",
        "node2": "ens14np0",
        "node3": "ib0",
    }
    verdicts = {
        row["interface"]: row["verdict"] for row in found["nodes"]["node1"]["candidates"] if row["address"] != "::1"
    }
    assert verdicts["docker0"] == "bridge without a physical port"
    assert verdicts["eno1"].startswith("management network")


def test_shared_storage_alone(storage_cluster, tmp_path):
    lab, on, _ = storage_cluster
    good, found = play(lab, tmp_path, "shared_storage", {"shared_storage_paths": ["/nfs"]}, "shared_storage_result")
    on("node2", "/root/nfs.sh", "down")
    on("node2", "/root/nfs.sh", "up", "b")
    try:
        bad, _ = play(lab, tmp_path, "shared_storage", {"shared_storage_paths": ["/nfs"]}, "shared_storage_result")
    finally:
        on("node2", "/root/nfs.sh", "down")
        on("node2", "/root/nfs.sh", "up", "a")

    assert good.returncode == 0, good.stdout
    assert found["nodes"]["node1"]["mounts"][0]["fstype"] == "fuse.glusterfs"
    assert playbook_results.never("compare_nodes", good, bad) == set()
    assert playbook_results.never("node_info", good) == {"problem"}
    assert bad.returncode == 2
    assert re.search(r"madctl: node2: .*\[STORAGE_DIFFERS\]", bad.stdout + bad.stderr)
    assert traces(on) == []


def test_gpu_alone(storage_cluster, tmp_path):
    lab, _, _ = storage_cluster
    done, found = play(lab, tmp_path, "gpu", {}, "gpu_result")

    assert done.returncode == 0, done.stdout
    assert found["nodes"]["node1"]["count"] == 0


def test_rendezvous_alone(storage_cluster, tmp_path):
    lab, _, _ = storage_cluster
    variables = {"rendezvous_work": ["true"], "rendezvous_shape": "command", "rendezvous_nproc_per_node": 2}
    done, found = play(lab, tmp_path, "rendezvous", variables, "rendezvous_result")

    assert done.returncode == 0, done.stdout
    assert playbook_results.never("rendezvous", done) == {"checks", "failures"}
    assert (found["plan"]["world_size"], found["plan"]["nodes"][2]["interface"]) == (6, "ib0")


def test_the_check_without_the_command_line(storage_cluster):
    lab, on, _ = storage_cluster
    argv = [str(PLAYBOOK), "-i", str(state.directory(lab.name) / "inventory.yml"), "madctl.multinode.check"]
    variables = {"madctl_shape": "command", "madctl_shared_paths": ["/nfs"]}
    argv += ["--limit", ",".join(HOSTS), "-e", json.dumps(variables)]
    environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "0"}
    good = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment)
    on("node1", "iptables", "-A", "INPUT", "-p", "tcp", "--dport", "29500", "-j", "REJECT")
    try:
        bad = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment)
    finally:
        on("node1", "iptables", "-F", "INPUT")

    assert good.returncode == 0, good.stdout
    assert "node[1-3]  ok     ok" in good.stdout
    assert bad.returncode == 2
    for host in ("node2", "node3"):
        assert re.search(rf"^madctl: {host}: .*\[CONNECT_REFUSED\]$", bad.stdout, re.M)
    assert traces(on) == []
