# SPDX-License-Identifier: Apache-2.0
"""Nodes are reached as the user's own inventory, settings and ssh configuration say, whatever these are made for."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.integration.command import madctl
from tests.integration.host_processes import on_host

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
    """Return the lab's ssh configuration, with new connections."""
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


PASSWORD = "open {{ sesame }} 'n' \"ü\""
ASKS = """\
Port 2222
HostKey /run/lab/host_key
PermitRootLogin yes
PasswordAuthentication yes
PubkeyAuthentication no
UsePAM no
UseDNS no
PidFile /run/lab/asks.pid
"""
REACHES = "Port 2222\n  User root\n  UserKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n"


@pytest.fixture
def asking(lab, tmp_path, monkeypatch):
    """Have two nodes ask for a password, and write an inventory; give a function that sets what it has for each."""
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", str(tmp_path / "cp"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    names = ("node1", "node2")
    start = 'cp -p /etc/shadow /root/shadow && usermod -p $(printf %s "$1" | openssl passwd -6 -stdin) root && '
    # It listens, and then says so there, only after its command has returned.
    start += 'printf %s "$2" > /run/lab/asks && /usr/sbin/sshd -f /run/lab/asks && '
    start += "until test -s /run/lab/asks.pid; do sleep 0.05; done"
    for name in names:
        on_host(lab, name, "sh", "-c", start, "sh", PASSWORD, ASKS)
    config = tmp_path / "config"
    config.write_text(
        "".join(f"Host {name}\n  HostName {lab.host(name).management_address}\n  {REACHES}" for name in names)
    )

    def write(**passwords):
        hosts = {name: {"ansible_password": {"__ansible_unsafe": words}} for name, words in passwords.items()}
        (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        return ["-i", "hosts.json", "--ssh-config", str(config), *HERE]

    yield write
    for name in names:
        end = "kill $(cat /run/lab/asks.pid); while test -e /run/lab/asks.pid; do sleep 0.05; done; "
        on_host(lab, name, "sh", "-c", end + "mv /root/shadow /etc/shadow")


@pytest.fixture
def sshpass():
    if not shutil.which("sshpass"):
        pytest.skip("no sshpass here")


def test_a_password_of_the_inventory_carries_a_run_and_what_asks_for_it_later(asking, sshpass, tmp_path):
    options = asking(node1=PASSWORD, node2=PASSWORD)
    done = madctl("launch", *options, "--detach", "--command", "--", "sleep", "300", cwd=tmp_path)
    later = [madctl(command, done.json["run_id"], cwd=tmp_path) for command in ("status", "logs", "stop")]

    assert done.code == 0, done.err
    assert [asked.code for asked in later] == [0, 0, 0], later
    said = "".join(asked.out + asked.err for asked in [done, *later])
    kept = "".join(path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert "sesame" not in said + kept


def test_a_password_that_is_wrong_is_the_cause_on_its_node_alone(asking, sshpass, tmp_path):
    done = madctl("check", *asking(node1=PASSWORD, node2="open barley"), cwd=tmp_path)

    assert (done.code, done.codes) == (4, ["AUTHENTICATION_FAILED"])
    (error,) = done.json["errors"]
    assert (error["host"], "password" in error["message"]) == ("node2", True)
    assert "barley" not in done.out + done.err


def test_a_password_that_nobody_asks_for_is_the_cause(config, sshpass, tmp_path):
    (tmp_path / "hosts.ini").write_text("node1 ansible_user=nobody ansible_password=wrong\n")
    own = tmp_path / "config"
    own.write_text(config.read_text().replace("IdentityFile", "IdentityFile none\n  #"))
    done = madctl("check", "-i", "hosts.ini", "--ssh-config", str(own), *HERE, cwd=tmp_path)

    assert (done.code, done.codes) == (4, ["AUTHENTICATION_FAILED"])
    assert "password" in done.json["errors"][0]["message"]


def test_a_password_that_is_empty_is_none(config, tmp_path):
    (tmp_path / "hosts.ini").write_text("node1 ansible_password=''\n")
    done = madctl("check", "-i", "hosts.ini", "--ssh-config", str(config), *HERE, cwd=tmp_path)

    assert done.code == 0, done.err


def test_where_nothing_gives_passwords_to_ssh_the_remedy_says_so(asking, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for path in Path("/usr/bin").iterdir():
        if path.name != "sshpass":
            (programs / path.name).symlink_to(path)
    done = madctl("check", *asking(node1=PASSWORD), cwd=tmp_path, env={"PATH": str(programs)})

    assert (done.code, done.codes) == (4, ["AUTHENTICATION_FAILED"])
    assert "install sshpass" in done.json["errors"][0]["remedy"]
