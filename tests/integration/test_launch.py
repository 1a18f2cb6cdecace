# SPDX-License-Identifier: Apache-2.0
"""The main job on real hosts: real sshd, real torchrun, real gloo."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.command import ALONE, EXAMPLE, JOBS, madctl
from tests.integration.run_answers import reports

pytestmark = pytest.mark.lab


def test_two_hosts_two_ranks_each_reduce(launch):
    done = launch("--nproc-per-node", "2", "--", EXAMPLE)

    assert done.code == 0, done.err
    assert done.err.count("sum 10, expected 10") == 4
    data = done.json["data"]
    assert (data["ranks_joined"], data["world_size"], data["nnodes"]) == (4, 4, 2)
    assert data["master_addr"].startswith("10.82.")
    assert [node["host"] for node in data["nodes"]] == ["node1", "node2"]
    assert [node["exit_code"] for node in data["nodes"]] == [0, 0]


def test_four_hosts_with_one_other_interface_name(launch):
    done = launch("--", "report.py", hosts="node[4,3,1-2]")

    assert done.code == 0, done.err
    found = [(node["host"], node["interface"]) for node in done.json["data"]["nodes"]]
    assert found == [("node4", "ens14np0"), ("node3", "ib0"), ("node1", "ens14np0"), ("node2", "ens14np0")]
    assert [r["env"]["GLOO_SOCKET_IFNAME"] for r in reports(done)] == ["ens14np0", "ib0", "ens14np0", "ens14np0"]


def test_a_data_network_of_ipv6_only(launch, on, lab):
    addresses = {host: lab.host(host).data_address for host in ("node1", "node2")}
    for number, (host, address) in enumerate(addresses.items(), 1):
        on(
            host,
            "sh",
            "-c",
            f"ip addr del {address}/24 dev ens14np0; ip addr add 2001:db8::{number}/64 dev ens14np0 nodad",
        )
    try:
        done = launch("--nproc-per-node", "2", "--", EXAMPLE)
    finally:
        for number, (host, address) in enumerate(addresses.items(), 1):
            on(
                host,
                "sh",
                "-c",
                f"ip addr del 2001:db8::{number}/64 dev ens14np0; ip addr add {address}/24 dev ens14np0",
            )

    assert done.code == 0, done.err
    assert done.err.count("sum 10, expected 10") == 4
    assert (done.json["data"]["master_addr"], done.json["data"]["ranks_joined"]) == ("2001:db8::1", 4)


def test_names_that_lead_to_loopback_do_not_matter_to_a_launch(launch, on):
    for host in ("node1", "node2"):
        on(
            host,
            "sh",
            "-c",
            "cp /etc/hosts /root/hosts; sed 's/^[0-9.]* node/127.0.1.1 node/' /root/hosts > /etc/hosts",
        )
    try:
        refused = launch("--", EXAMPLE)
        done = launch("--skip", "names", "--nproc-per-node", "2", "--", EXAMPLE)
    finally:
        for host in ("node1", "node2"):
            on(host, "sh", "-c", "cat /root/hosts > /etc/hosts")

    assert (refused.code, set(refused.codes)) == (3, {"PEER_IS_LOOPBACK"})
    assert done.code == 0, done.err
    assert done.err.count("sum 10, expected 10") == 4
    assert done.json["data"]["ranks_joined"] == 4


def test_a_launch_is_refused_by_the_proof_and_nothing_starts(launch, on):
    on("node1", "iptables", "-A", "INPUT", "-p", "tcp", "--dport", "29500", "-j", "REJECT")
    try:
        done = launch("--", EXAMPLE)
    finally:
        on("node1", "iptables", "-F", "INPUT")

    assert (done.code, done.codes) == (3, ["CONNECT_REFUSED"])
    assert done.json["data"]["ranks_joined"] == 0
    assert done.json["data"]["start_spread_seconds"] is None


def test_words_arrive_byte_for_byte(launch, tmp_path, on):
    words = [
        "a b",
        "$(touch /tmp/x)",
        "{{ 1 + 1 }}",
        "line\nbreak",
        "quote'\"",
        "ünï",
        b"\xff\xfe",
        "",
        "--",
        "-x",
        "*",
    ]
    done = launch("--", "report.py", *words)

    assert done.code == 0, done.err
    expected = [(word if isinstance(word, bytes) else word.encode()).hex() for word in words]
    for report in reports(done):
        assert report["argv"][1:] == expected
    left = on("node1", "ls", "/tmp").split()
    assert "x" not in left, "a shell read the words"
    assert not [name for name in left if name.startswith("torchelastic")], "torchrun left its own logs"


def test_script_with_a_hostile_name(launch, on):
    name = '/root/it\'s $(touch x) "ü"\n{{ x }}.py'
    for host in ("node1", "node2"):
        on(host, "cp", str(JOBS / "report.py"), name)
    done = launch("--", name)

    assert done.code == 0, done.err
    assert {report["argv"][0] for report in reports(done)} == {name.encode().hex()}


def test_environment_of_the_job(launch):
    done = launch(
        "--nproc-per-node", "2", "--env", "MINE=a {{ b }}", "--", "report.py", env={"PET_NNODES": "9", "RANK": "5"}
    )

    assert done.code == 0, done.err
    environment = reports(done)[3]["env"]
    expected = {
        "NNODES": "2",
        "NODE_RANK": "1",
        "NPROC_PER_NODE": "2",
        "WORLD_SIZE": "4",
        "RANK": "3",
        "MINE": "a {{ b }}",
    }
    assert {name: environment[name] for name in expected} == expected
    assert environment["MADCTL_RUN_ID"] == done.json["run_id"]
    assert not [name for name in environment if name.startswith("PET_")]


def test_a_failing_rank_is_named_and_all_nodes_end(launch):
    done = launch("--nproc-per-node", "2", "--", "fail.py", "2")

    assert done.code == 6
    first = done.json["errors"][0]
    assert (first["code"], first["host"], first["rank"], first["exit_code"]) == ("RANK_FAILED", "node2", 2, 7)
    assert "giving up" in done.err.split("last lines of node2 rank 2:")[1]


def test_a_leaked_process_of_a_rank_is_ended(launch):
    done = launch("--timeout", "8", "--", "wait.py", "leak")

    assert done.code == 8
    assert done.json["errors"][0]["code"] == "TIMED_OUT"


def test_command_runs_once_a_node(launch):
    done = launch("--command", "--", "bash", "-c", 'echo "node $NODE_RANK of $NNODES: $MAD_MULTI_NODE_RUNNER"')

    assert done.code == 0, done.err
    assert done.json["data"]["ranks_joined"] is None
    for rank in ("0", "1"):
        assert f"node {rank} of 2: {sys.executable} -m torch.distributed.run" in done.err


def test_a_failing_command_has_its_code_in_the_record(launch):
    done = launch("--command", "--", "sh", "-c", "[ $NODE_RANK = 0 ] || exit 3; sleep 300")

    assert done.code == 6
    assert (done.json["errors"][0]["host"], done.json["errors"][0]["exit_code"]) == ("node2", 3)


def test_a_runner_that_cannot_be_executed_is_a_failed_start(launch):
    done = launch("--skip", "entry", "--command", "--", "no-such-program")

    assert (done.code, done.codes[0]) == (5, "START_FAILED")


def test_dry_run_prints_the_plan_and_starts_nothing(launch, on):
    before = on("node1", "sh", "-c", "ls /var/tmp/madctl-0 2>/dev/null | wc -l")
    done = launch("--dry-run", "--", "report.py", "x y")

    assert (done.code, done.json["status"]) == (0, "planned")
    for rank, node in enumerate(done.json["data"]["nodes"]):
        assert node["argv"][:3] == [sys.executable, "-m", "torch.distributed.run"]
        assert node["argv"][node["argv"].index("--node-rank") + 1] == str(rank)
        assert node["argv"][-2:] == ["report.py", "x y"]
        assert node["env"]["MASTER_ADDR"] == done.json["data"]["master_addr"]
    assert on("node1", "sh", "-c", "ls /var/tmp/madctl-0 2>/dev/null | wc -l") == before


@pytest.mark.parametrize("hosts", [[], ["--hosts", "localhost"]])
def test_single_node_runs_here_through_the_same_path(hosts, tmp_path):
    # A path that is longer than a socket's name may be; the port may be in use by tests that run beside this one.
    own = ["--python", sys.executable, "--run-dir", str(tmp_path / ("long-" * 20)), "--master-port", "auto"]
    alone = ALONE if os.geteuid() == 0 else ()
    done = madctl("launch", *hosts, "--nproc-per-node", "2", *own, "--output", "json", "--", EXAMPLE, before=alone)

    assert done.code == 0, done.err
    assert done.json["data"]["master_addr"] == "localhost"
    assert done.err.count("sum 3, expected 3") == 2


@pytest.mark.parametrize(
    ("forks", "sharing"),
    # Without a shared connection there is nothing to forward through: the channels are relays then.
    [([], "auto"), (["--forks", "1"], "auto"), ([], "no")],
    ids=["default forks", "one fork", "no shared connection"],
)
def test_plain_ansible_playbook_on_a_printed_inventory(lab, tmp_path, forks, sharing):
    config = madctl("lab", "ssh-config", "--name", lab.name).out.strip()
    printed = madctl("inventory", "--hosts", "node1,node2", "--ssh-config", config)
    (tmp_path / "hosts.yml").write_text(
        printed.out.replace(
            "ControlMaster=auto", f"ControlMaster={sharing}" + (" -o ControlPath=none" if sharing == "no" else "")
        )
    )
    variables = {
        "madctl_work": [EXAMPLE],
        "madctl_python": sys.executable,
        "madctl_nproc_per_node": 2,
    }
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(tmp_path / "hosts.yml"), *forks]
    argv += ["madctl.multinode.launch", "-e", json.dumps(variables)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("sum 10, expected 10") == 4


def test_the_same_name_in_two_ssh_configurations_is_two_machines(lab, tmp_path):
    text = Path(madctl("lab", "ssh-config", "--name", lab.name).out.strip()).read_text()
    said = []
    for host in ("node1", "node2"):
        config = tmp_path / f"config-of-{host}"
        renamed = re.sub(rf"^Host {host}$", "Host here", text, flags=re.MULTILINE)
        config.write_text(re.sub("^Host node1 .*$", "Host *", renamed, flags=re.MULTILINE))
        # At once after each other: the first connection is still open.
        words = ["--hosts", "here", "--ssh-config", str(config), "--command", "--", "hostname"]
        said.append(madctl("launch", *words).out)

    assert ["node1" in said[0], "node2" in said[1]] == [True, True], said


def test_the_user_of_the_first_host_is_its_own(lab, on, tmp_path):
    on("node2", "sh", "-c", "id train >/dev/null 2>&1 || useradd -m -u 2001 train; usermod -p '*' train")
    config = tmp_path / "config"
    text = Path(madctl("lab", "ssh-config", "--name", lab.name).out.strip()).read_text()
    config.write_text(f"Host node2\n  User train\n{text}")
    words = ["--hosts", "root@node1,node2", "--ssh-config", str(config), "--command", "--", "id", "-un"]
    done = madctl("launch", *words, cwd="/")

    assert done.code == 0, done.err
    assert sorted(re.findall(r"(node\d) +│ (\w+)", done.out)) == [("node1", "root"), ("node2", "train")], done.out
