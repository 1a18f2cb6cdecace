# SPDX-License-Identifier: Apache-2.0
"""How nodes are reached is kept only where it stays true, and where no secret is in it."""

import json
import os
from dataclasses import replace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._ways import kept
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local
from ansible_collections.madctl.multinode.plugins.module_utils._ways.ssh import Login, Ssh
from madctl.nodes import reach
from tests.unit.madctl.remembered_runs import asked

LOGIN = Login(words=["ssh", "-o", "User=me"], target="10.0.0.1", address="10.0.0.1")


def told(*names, login=LOGIN):
    return {name: kept.dumped(Ssh(name, "/usr/bin/python3", login)) for name in names}


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """An inventory with variables beside it, and an Ansible without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("ansible_user: me\n")
    path = tmp_path / "hosts.ini"
    path.write_text("a\nb\n")
    return asked("a", "b", sources=(str(path),))


def test_what_is_kept_is_found_again(listed):
    found = replace(listed, reach=json.loads(json.dumps(reach.keep(listed, told("a", "b")))))
    ways = reach.ways(found)

    assert list(ways) == ["a", "b"]
    assert (ways["a"].host, ways["a"].python, ways["a"].login) == ("a", "/usr/bin/python3", LOGIN)


def test_a_socket_in_a_directory_that_has_gone_is_not_asked_for(listed, tmp_path):
    (tmp_path / "cp").mkdir()
    words = ["ssh", "-o", "ControlMaster=auto", "-o", f'ControlPath="{tmp_path}/cp/0a1b"']
    found = replace(listed, reach=reach.keep(listed, told("a", "b", login=replace(LOGIN, words=words))))
    assert reach.ways(found)["a"].login.words == words
    (tmp_path / "cp").rmdir()

    # ssh takes the first of each.
    assert reach.ways(found)["a"].login.words == ["ssh", "-o", "ControlMaster=no", "-o", "ControlPath=none", *words[1:]]


def test_this_machine_is_kept_as_well():
    here = asked("localhost")
    found = replace(here, reach=reach.keep(here, {"localhost": kept.dumped(Local("localhost", "/opt/python"))}))

    assert isinstance(reach.ways(found)["localhost"], Local)


def inventory_changed(place, _):
    (place / "hosts.ini").write_text("a ansible_port=2222\nb\n")


def variables_changed(place, _):
    (place / "group_vars" / "all.yml").write_text("ansible_user: you\n")


def variables_came(place, _):
    (place / "host_vars").mkdir()
    (place / "host_vars" / "a.yml").write_text("ansible_user: you\n")


def settings_came(place, _):
    (place / "ansible.cfg").write_text("[ssh_connection]\nssh_args = -o ProxyJump=j\n")


def environment_changed(_, monkeypatch):
    monkeypatch.setenv("ANSIBLE_REMOTE_USER", "you")


def inventory_gone(place, _):
    (place / "hosts.ini").unlink()


@pytest.mark.parametrize(
    "change",
    [inventory_changed, variables_changed, variables_came, settings_came, environment_changed, inventory_gone],
)
def test_what_ansible_would_answer_otherwise_is_not_used(listed, tmp_path, monkeypatch, change):
    found = replace(listed, reach=reach.keep(listed, told("a", "b")))
    assert reach.ways(found)
    change(tmp_path, monkeypatch)

    assert reach.ways(found) is None


def password(place):
    return told("a", "b", login=replace(LOGIN, password="x"))


def password_of_a_jump(place):
    return told("a", "b", login=replace(LOGIN, words=["ssh", "-o", "ProxyCommand=sshpass -p x ssh -W %h:%p j"]))


def vault(place):
    (place / "group_vars" / "all.yml").write_text("x: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n")
    return told("a", "b")


def program(place):
    (place / "hosts.ini").chmod(0o755)
    return told("a", "b")


def plugin(place):
    (place / "hosts.ini").write_text("plugin: amazon.aws.aws_ec2\n")
    return told("a", "b")


def a_node_missing(place):
    return told("a")


@pytest.mark.parametrize("made", [password, password_of_a_jump, vault, program, plugin, a_node_missing])
def test_secrets_and_what_may_change_by_itself_are_not_kept(listed, tmp_path, made):
    assert reach.keep(listed, made(tmp_path)) is None


def test_a_node_that_was_not_kept_is_not_reached(listed):
    found = replace(asked("a", "b", "c", sources=listed.sources), reach=reach.keep(listed, told("a", "b")))

    assert reach.ways(found) is None


@pytest.mark.parametrize(
    "value",
    [
        {"seal": 1, "ways": {}},
        {"seal": "x", "ways": []},
        {"seal": "x", "ways": {"a": {"way": "ssh", "python": "p", "environment": ""}}},
        {"seal": "x", "ways": {"a": {**told("a")["a"], "way": "telnet"}}},
        {"seal": "x", "ways": {"a": {**told("a")["a"], "login": {**told("a")["a"]["login"], "words": []}}}},
        {"seal": "x", "ways": {"a": {**told("a")["a"], "login": {**told("a")["a"]["login"], "words": [1]}}}},
    ],
)
def test_a_record_that_somebody_wrote_over_is_not_believed(value):
    assert not reach.is_sound(value)


def test_a_secret_of_the_environment_is_in_no_seal(listed, monkeypatch):
    monkeypatch.setenv("ANSIBLE_BECOME_PASSWORD", "s3cret")
    found = reach.keep(listed, told("a", "b"))

    assert "s3cret" not in json.dumps(found) and os.environ["ANSIBLE_BECOME_PASSWORD"] == "s3cret"
