# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever Ansible is told of a login counts for ours, and comes before what ours need."""

import os

import pytest
from ansible.plugins.loader import connection_loader
from ansible.utils.context_objects import CLIArgs

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import ansible_ssh
from tests.unit.plugin_utils._nodes.tasks import task_of

HOST = {
    "ansible_host": "10.0.0.9",
    "ansible_user": "me",
    "ansible_port": 2222,
    "ansible_ssh_common_args": "-o ProxyJump=gate",
    "ansible_ssh_extra_args": "-v",
    "ansible_ssh_private_key_file": "/keys/one",
    "madctl_ssh_args": "-F 'my config'",
}


def login(**variables):
    return ansible_ssh.login("n1", task_of("ssh"), {"inventory_hostname": "n1", **variables})


def said_by(tmp_path, version):
    """An ssh that says a version, and does nothing else."""
    path = tmp_path / "ssh"
    path.write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo "{version}" >&2\n')
    path.chmod(0o700)
    return {"ansible_ssh_executable": str(path)}


def has_sshpass(monkeypatch, answer):
    plugin = connection_loader.get("ansible.builtin.ssh", class_only=True)
    monkeypatch.setattr(plugin, "_sshpass_available", staticmethod(lambda: answer))


def options(found):
    words = found.words
    return [words[at + 1] for at, word in enumerate(words) if word == "-o"]


def test_a_login_is_the_one_of_the_inventory():
    found = login(**HOST)

    assert (found.target, found.address, found.port) == ("10.0.0.9", "10.0.0.9", 2222)
    assert (found.password, found.prompt, found.chosen_patience, found.refusal) == (None, None, False, None)
    assert {"Port=2222", 'User="me"', 'IdentityFile="/keys/one"', "ProxyJump=gate"} <= set(options(found))
    assert "-v" in found.words and found.words[found.words.index("-F") + 1] == "my config"


def test_a_host_without_variables_is_reached_by_its_name():
    found = login()

    assert (found.words[0], found.target, found.address, found.port) == ("ssh", "n1", "n1", None)


def test_what_users_say_comes_before_what_ours_need():
    extra = ["ServerAliveInterval=99", "RequestTTY=force", "BatchMode=no"]
    said = {
        "ansible_ssh_args": "-o ControlPersist=9s",
        "ansible_ssh_extra_args": " ".join(f"-o {word}" for word in extra),
    }
    found = options(login(**said))
    names = [option.partition("=")[0] for option in found]

    for word in ("ControlPersist=9s", *extra):
        name = word.partition("=")[0]
        # ssh takes the first of each.
        assert (found[names.index(name)], names.count(name)) == (word, 2)


def test_what_the_command_line_of_madctl_says_comes_after_the_inventory():
    words = login(**HOST).words

    assert words.index("ProxyJump=gate") < words.index("-v") < words.index("BatchMode=yes") < words.index("-F")


@pytest.mark.parametrize("seconds", [9, 10, 30])
def test_a_time_that_users_chose_is_known(seconds):
    found = login(ansible_ssh_timeout=seconds)

    assert f"ConnectTimeout={seconds}" in options(found)
    assert found.chosen_patience is (seconds != 10)


@pytest.mark.parametrize(
    ("version", "newest"),
    [
        ("OpenSSH_9.6p1", "ForkAfterAuthentication=no"),
        ("OpenSSH_8.0", "RemoteCommand=none"),
        ("x", "RemoteCommand=none"),
    ],
)
def test_an_ssh_gets_no_option_that_it_does_not_know(tmp_path, version, newest):
    ansible_ssh._version.cache_clear()
    found = options(login(**said_by(tmp_path, version)))

    assert newest in found
    assert ("ForkAfterAuthentication=no" in found) is version.endswith("9.6p1")


def test_an_old_ssh_gets_only_what_it_knows(tmp_path):
    ansible_ssh._version.cache_clear()
    found = options(login(**said_by(tmp_path, "OpenSSH_7.2p2")))

    assert "RequestTTY=no" in found and "RemoteCommand=none" not in found


def test_nobody_is_asked_for_anything():
    assert "BatchMode=yes" in options(login())


@pytest.mark.parametrize("mechanism", ["ssh_askpass", "sshpass"])
def test_a_password_is_told_apart_from_the_command_line(monkeypatch, mechanism):
    has_sshpass(monkeypatch, True)
    before = os.listdir("/proc/self/fd")
    secret = {"ansible_password": "s3cret", "ansible_ssh_password_mechanism": mechanism}
    found = login(**HOST, **secret, ansible_sshpass_prompt="pin")

    assert (found.password, found.prompt, found.words[0]) == ("s3cret", "pin", "ssh")
    assert "BatchMode=yes" not in options(found) and "s3cret" not in " ".join(found.words)
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_password_that_nobody_here_can_give_is_said(monkeypatch):
    has_sshpass(monkeypatch, False)
    found = login(ansible_password="s3cret", ansible_ssh_password_mechanism="sshpass")  # noqa: S106

    assert "you must install the sshpass program" in found.refusal


@pytest.mark.parametrize("how", ["ask_pass", "connection_password_file"])
def test_a_password_that_was_typed_is_for_hosts_without_their_own(monkeypatch, how):
    has_sshpass(monkeypatch, True)
    monkeypatch.setattr(ansible_ssh.context, "CLIARGS", CLIArgs({how: True}))
    action = task_of("ssh")
    action._play_context.password = "typed"
    hosts = {"n1": {}, "n2": {"ansible_password": "own"}}
    typed = ansible_ssh.typed_password(action, hosts, hosts)

    assert {host: ansible_ssh.login(host, action, own, typed).password for host, own in hosts.items()} == {
        "n1": "typed",
        "n2": "own",
    }


def test_a_host_s_own_password_is_no_other_host_s(monkeypatch):
    monkeypatch.setattr(ansible_ssh.context, "CLIARGS", CLIArgs({"ask_pass": True}))
    action = task_of("ssh")
    action._play_context.password = "own"  # Ansible has the first host's in place of what was typed.

    assert ansible_ssh.typed_password(action, {"n1": {"ansible_ssh_pass": "own"}, "n2": {}}, ["n1", "n2"]) is None


def test_without_a_word_of_whoever_started_it_no_password_is_for_all(monkeypatch):
    monkeypatch.setattr(ansible_ssh.context, "CLIARGS", CLIArgs({}))
    action = task_of("ssh")
    action._play_context.password = "of somebody"

    assert ansible_ssh.typed_password(action, {"n1": {}}, ["n1"]) is None
