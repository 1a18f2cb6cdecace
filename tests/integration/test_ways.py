# SPDX-License-Identifier: Apache-2.0
"""Nodes are reached as the user's own inventory, settings and ssh configuration say, whatever these are made for."""

import sys
from pathlib import Path

import pytest

from tests.integration.command import madctl

pytestmark = pytest.mark.lab
HERE = ["--python", sys.executable, "--output", "json"]
PROXY = """\
import os, select, socket, sys
open(sys.argv[1], "a").close()
way = socket.create_connection((sys.argv[2], int(sys.argv[3])))
while True:
    for source in select.select([0, way], [], [])[0]:
        data = os.read(0, 65536) if source == 0 else way.recv(65536)
        if not data:
            sys.exit()
        way.sendall(data) if source == 0 else os.write(1, data)
"""
# What an ssh configuration may have for shells; two nodes cannot both have the forwarding.
SHELLS = {
    "tmux": "RemoteCommand tmux new -A\nRequestTTY force\n",
    "forwards": "LocalForward 18888 127.0.0.1:8888\nDynamicForward 18889\nExitOnForwardFailure yes\n",
    "background": "StdinNull yes\nForkAfterAuthentication yes\nSessionType none\n",
}


@pytest.fixture
def config(lab, tmp_path, monkeypatch):
    """Give the lab's ssh configuration, and connections that nobody had before."""
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", str(tmp_path / "cp"))
    return Path(madctl("lab", "ssh-config", "--name", lab.name).out.strip())


@pytest.mark.parametrize("kind", SHELLS)
def test_a_configuration_for_shells_carries_programs(config, tmp_path, kind):
    own = tmp_path / "config"
    own.write_text(f"Host node*\n{SHELLS[kind]}{config.read_text()}")
    done = madctl("launch", "--hosts", "node1,node2", "--ssh-config", str(own), *HERE, "--command", "--", "true")

    assert done.code == 0, done.err


@pytest.mark.parametrize("place", ["variable", "environment", "settings"])
def test_arguments_of_ssh_that_users_gave_stay(config, tmp_path, place):
    (tmp_path / "proxy.py").write_text(PROXY)
    words = f'-o ProxyCommand="/usr/bin/python3 {tmp_path}/proxy.py {tmp_path}/used %h %p"'
    (tmp_path / "hosts.ini").write_text("[gpus]\nnode1\nnode2\n[gpus:vars]\n")
    (tmp_path / "ansible.cfg").write_text("[ssh_connection]\n")
    if place == "variable":
        (tmp_path / "hosts.ini").write_text(f"[gpus]\nnode1\nnode2\n[gpus:vars]\nansible_ssh_args={words}\n")
    elif place == "settings":
        (tmp_path / "ansible.cfg").write_text(f"[ssh_connection]\nssh_args={words}\n")
    more = {"ANSIBLE_SSH_ARGS": words} if place == "environment" else {}
    options = ["-i", "hosts.ini", "--ssh-config", str(config), *HERE, "--command", "--", "true"]
    done = madctl("launch", *options, cwd=tmp_path, env=more)

    assert done.code == 0, done.err
    assert (tmp_path / "used").exists()


def test_what_was_typed_wins_over_an_inventory(config, tmp_path):
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "node2.yml").write_text("ansible_ssh_user: nobody\nansible_port: 9\n")
    (tmp_path / "hosts.ini").write_text("[w]\nnode1 ansible_user=nobody\nnode2\n[w:vars]\nansible_ssh_port=9\n")
    options = ["-i", "hosts.ini", "--user", "root", "--port", "22", "--ssh-config", str(config), *HERE, "--command"]
    done = madctl("launch", *options, "--", "id", "-un", cwd=tmp_path)
    stopped = madctl("stop", done.json["run_id"], cwd="/")

    assert done.code == 0, done.err
    assert stopped.code == 0, stopped.err


@pytest.mark.parametrize("name", ["t m p", "q'u\"o {{ x }}", "x" * 90])
def test_directories_may_have_any_name(launch, tmp_path, name):
    odd = tmp_path / name
    odd.mkdir()
    env = {"TMPDIR": str(odd), "XDG_STATE_HOME": str(odd), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(odd)}
    done = launch("--chdir", "/tmp", "--command", "--", "true", cwd=odd, env=env)

    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "setting", ["STRATEGY=free", "NO_LOG=1", "TASK_TIMEOUT=1", "SKIP_TAGS=launch", "INVENTORY_ENABLED=ini"]
)
def test_settings_for_other_playbooks_do_no_harm(launch, setting):
    name, _, value = setting.partition("=")
    done = launch("--command", "--", "sleep", "2", env={f"ANSIBLE_{name}": value})

    assert done.code == 0, done.err


def test_cron_and_batch_systems_set_no_locale(launch, lab):
    plain = {"LC_ALL": "C", "LANG": "C"}
    done = launch("--detach", "--command", "--", "sleep", "60", env=plain)
    stopped = madctl("stop", done.json["run_id"], env=plain)

    assert done.code == 0, done.err
    assert stopped.code == 0, stopped.err


def test_a_password_that_is_wrong_is_the_cause(config, tmp_path):
    (tmp_path / "hosts.ini").write_text("node1 ansible_user=nobody ansible_password=wrong\n")
    own = tmp_path / "config"
    own.write_text(config.read_text().replace("IdentityFile", "IdentityFile none\n  #"))
    done = madctl("check", "-i", "hosts.ini", "--ssh-config", str(own), *HERE, cwd=tmp_path)

    assert (done.code, done.codes) == (4, ["AUTHENTICATION_FAILED"])
    assert "password" in done.json["errors"][0]["message"]
