# SPDX-License-Identifier: Apache-2.0
"""What differs between nodes, and what prepares them: setups, own values of hosts, hosts that are left out."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from madctl.lab import state
from tests.integration.command import madctl
from tests.integration.mpi_flavours import one_kind, options
from tests.integration.run_answers import reports

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]

BIN = str(Path(sys.executable).parent)
SECRET = "s3cret-of-one-node"
SAYS = 'echo "said $NODE_RANK $ONLY $FROM_SETUP $(ulimit -n) $MADCTL_ATTEMPT $PWD"'


def test_setup_own_values_and_hosts_that_are_left_out(lab, tmp_path):
    (tmp_path / "hosts").write_text(
        f"node1 env.ONLY=one\nnode2\nnode3 interface=ib0 env.ONLY=three env.API_TOKEN={SECRET}\n"
    )
    setup = f"export PATH={BIN}:$PATH FROM_SETUP=$NODE_RANK-$ALL; ulimit -n 4321; cd /; echo set up $API_TOKEN"
    words = ["--lab", lab.name, "--hostfile", str(tmp_path / "hosts"), "--exclude", "node2", "--env", "ALL=all"]
    script = str(Path(__file__).parent / "jobs" / "report.py")
    done = madctl("launch", *words, "--setup", setup, "--output", "json", "--", script)

    assert done.code == 0, done.err
    assert [(node["host"], node["interface"]) for node in done.json["data"]["nodes"]] == [
        ("node1", "ens14np0"),
        ("node3", "ib0"),
    ]
    found = {entry["env"]["NODE_RANK"]: entry["env"] for entry in reports(done)}
    names = ("ONLY", "FROM_SETUP", "ALL", "MADCTL_ATTEMPT", "MADCTL_RESTART_COUNT", "PWD")
    assert [[found[rank][name] for name in names] for rank in "01"] == [
        ["one", "0-all", "all", "0", "0", "/"],
        ["three", "1-all", "all", "0", "0", "/"],
    ]
    # The Python of torchrun is the one that the setup puts first on the PATH.
    assert found["0"]["MAD_MULTI_NODE_RUNNER"].startswith(BIN + "/python3 ")
    assert "API_TOKEN" not in found["0"] and "set up ***" in done.err and SECRET not in done.out + done.err
    kept = "".join(path.read_text() for path in Path(os.environ["XDG_STATE_HOME"]).rglob("*.json"))
    assert done.json["run_id"] in kept and SECRET not in kept


def test_variables_of_hosts_in_an_inventory_win_over_the_command_line(lab, tmp_path):
    hosts = {"node3": {"madctl_env": {"ONLY": "three", "TOKEN": SECRET}}, "node1": {"madctl_interface": "ens14np0"}}
    inventory = {"all": {"children": {"gpu": {"hosts": hosts}}, "vars": {"madctl_env": {"ONLY": "of all"}}}}
    config = state.directory(lab.name) / "ssh_config"
    inventory["all"]["vars"]["ansible_ssh_common_args"] = f"-F {config}"
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    words = ["-i", str(tmp_path / "hosts.json"), "--env", "ONLY=typed", "--chdir", "/", "--interface", "10.82.0.0/16"]
    work = ["--command", "--", "sh", "-c", SAYS + '; echo "$TOKEN"']
    done = madctl("launch", *words, *work)
    dry = madctl("launch", *words, "--dry-run", *work)

    assert done.code == 0, done.err
    assert sorted(re.findall(r"said (\d \w+)", done.out)) == ["0 three", "1 typed"]
    assert "│ ***" in done.out and SECRET not in done.out + done.err
    assert dry.code == 0 and re.search(r"^node3:\n(  .*\n)*  ONLY='\*\*\*'", dry.out, re.M), dry.out
    assert SECRET not in dry.out


@one_kind
def test_daemons_of_mpi_start_as_the_setup_leaves_things(lab, mpi, tmp_path):
    words = ["--lab", lab.name, "--hosts", "node[1-4]!node[2,4]", "--python", mpi["python"], *options(mpi)]
    setup = "export ONLY=mpi FROM_SETUP=$NODE_RANK; ulimit -n 4321; cd /"
    done = madctl("launch", *words, "--setup", setup, "--", "sh", "-c", SAYS)

    assert done.code == 0, done.err
    assert sorted(re.findall(r"said (.*)", done.out)) == ["0 mpi 0 4321 0 /", "1 mpi 1 4321 0 /"]


def test_a_setup_that_fails_on_one_node_starts_nothing(lab):
    words = ["--lab", lab.name, "--hosts", "node1,node2", "--start-timeout", "20"]
    setup = 'setsid sleep 300 & echo why >&2; test "$NODE_RANK" != 1'
    done = madctl("launch", *words, "--setup", setup, "--output", "json", "--command", "--", "echo", "started")
    logs = madctl("logs")

    assert (done.code, done.codes) == (3, ["SETUP_FAILED"])
    assert "node2: the setup failed: exit code 1: why" in done.err
    assert "started" not in done.err + logs.out
