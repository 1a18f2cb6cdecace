# SPDX-License-Identifier: Apache-2.0
"""The way over ssh: what it starts, how it gives a password, what the errors mean."""

import ast
import gc
import os
import subprocess
import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._ways import kept, ssh
from ansible_collections.madctl.multinode.plugins.module_utils._ways.ssh import Login, Ssh
from tests.unit.module_utils import connections

# They write down how they were called; one then runs the command here, the other what follows its own options.
STAND_IN = """\
#!{python}
import os, sys
words = sys.argv[1:]
with open(sys.argv[0] + ".called", "a") as stream:
    print(repr(words), file=stream)
if "exit" not in words:
    os.execv("/bin/sh", ["/bin/sh", "-c", words[-1]])
"""
SSHPASS = """\
#!{python}
import os, sys
words = sys.argv[1:]
at = 3 if words[1] == "-P" else 1
with open(sys.argv[0] + ".called", "a") as stream:
    print(repr((words[1:at], os.read(int(words[0][2:]), 100))), file=stream)
os.execv(words[at], words[at:])
"""
# Its bytes are not text in any encoding.
SECRET = "s3cret \udcff ü"


def program(path, text):
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o700)
    return str(path)


@pytest.fixture
def reach(tmp_path):
    """The way to a node over a stand-in for ssh."""

    def make(words=("-a",), **login):
        words = [program(tmp_path / "ssh", STAND_IN), *words]
        return Ssh("node1", sys.executable, Login(words, "n.example", "n.example", **login))

    return make


@pytest.fixture
def sshpass(tmp_path, monkeypatch):
    program(tmp_path / "sshpass", SSHPASS)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def calls(tmp_path, name="ssh"):
    return list(map(ast.literal_eval, (tmp_path / f"{name}.called").read_text().splitlines()))


def descriptors():
    """Count the open ones of this process, without those of earlier tests that nobody holds any more."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def to(host="n1", address="n.example", **login):
    return Ssh(host, "python3", Login(["ssh"], address, address, **login))


def test_a_command_goes_over_the_login_that_it_was_told(reach, tmp_path):
    assert connections.talk(reach().start("cat; echo 'a  b'"), b"in ") == (b"in a  b\n", 0)
    assert [words[:-1] for words in calls(tmp_path)] == [["-a", "-T", "--", "n.example"]]
    assert calls(tmp_path)[0][-1].startswith("/bin/sh -c "), "whatever shell a user has there"


def test_the_exit_code_and_the_words_are_those_of_what_was_started(reach):
    connection = reach().start("echo why >&2; exit 7")

    assert connections.talk(connection, b"", words=b"why\n") == (b"", 7)


def test_what_is_closed_is_ended(reach):
    connection = reach().start("exec sleep 60")
    process = connection._process
    connection.close()

    assert process.returncode == -9


# Options come before those of the login: ssh takes the first of each.
@pytest.mark.parametrize(
    ("chosen", "seconds", "expected"),
    [(False, 4.0, ["-o", "ConnectTimeout=4"]), (True, 4.0, []), (False, None, []), (True, None, [])],
)
def test_a_time_that_users_chose_stays(reach, tmp_path, chosen, seconds, expected):
    connections.talk(reach(chosen_patience=chosen).start("true", seconds), b"")

    assert calls(tmp_path)[0][:-4] == [*expected, "-a"]


def test_a_node_gets_the_environment_of_the_task_and_its_python(reach):
    way = reach()
    way.environment = "A='x  y' B=2"
    command = way.command("import os; print(os.environ['A'], os.environ['B'])")

    assert connections.talk(way.start(command), b"") == (b"x  y 2\n", 0)


@pytest.mark.parametrize(("prompt", "expected"), [(None, []), ("pin", ["-P", "pin"])])
def test_a_password_is_given_by_sshpass_and_stands_nowhere(reach, sshpass, tmp_path, prompt, expected):
    way = reach(password=SECRET, prompt=prompt)

    assert connections.talk(way.start("cat; env"), b"in ")[0].startswith(b"in ")
    assert calls(tmp_path, "sshpass") == [(expected, os.fsencode(SECRET) + b"\n")]
    assert SECRET not in repr(calls(tmp_path))
    assert kept.dumped(way) is None


def test_a_password_leaves_no_descriptor_behind(reach, sshpass):
    way, before = reach(password=SECRET), descriptors()
    connections.talk(way.start("true"), b"")

    assert descriptors() == before


def test_without_sshpass_a_password_is_refused_by_name(reach, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    way, before = reach(password=SECRET), descriptors()
    with pytest.raises(OSError, match="sshpass") as caught:
        way.start("true")

    assert (
        way.explain(plain_text.reason(caught.value, is_named=True))["remedy"]
        == "install sshpass on this machine, or set up a key: ssh-copy-id n.example"
    )
    assert descriptors() == before


def test_a_login_that_cannot_be_is_not_tried(reach, tmp_path):
    with pytest.raises(OSError, match="because"):
        reach(refusal="because").start("true")

    assert not (tmp_path / "ssh.called").exists()


def test_a_login_without_a_password_may_be_kept_as_it_is():
    login = Login(["ssh", "-a"], "t", "n.example", 22, True)

    assert Login(**kept.dumped(Ssh("n", "python3", login))["login"]) == login


def test_a_reset_ends_the_connection_that_is_kept(reach, tmp_path):
    reach().reset()

    assert calls(tmp_path) == [["-O", "exit", "-a", "--", "n.example"]]


def test_a_reset_of_an_ssh_that_is_gone_or_hangs_is_no_error(monkeypatch):
    Ssh("n1", "python3", Login(["/none/ssh"], "n1", "n1")).reset()
    monkeypatch.setattr(ssh, "_RESET_SECONDS", 0.1)
    started = []
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda words, **how: started.append(real(["sleep", "60"], **how)))
    to().reset()

    assert started == []


# What ssh and Ansible say, what it means, and the end of the remedy.
SAID = {
    "changed": (
        "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
        "HOST_KEY_CHANGED",
        "if that is right, remove the old key: ssh-keygen -R n.example",
    ),
    "unknown": (
        "Host key verification failed.",
        "HOST_KEY_UNKNOWN",
        "enrol it: ssh n.example, or pass --accept-new-host-keys",
    ),
    "no sshpass": (
        "to use the 'ssh' connection type with passwords, you must install the sshpass program",
        "AUTHENTICATION_FAILED",
        "install sshpass on this machine, or set up a key: ssh-copy-id n.example",
    ),
    "no sshpass here": (
        "sshpass: no such file or directory",
        "AUTHENTICATION_FAILED",
        "install sshpass on this machine, or set up a key: ssh-copy-id n.example",
    ),
    "no key": (
        "root@n1: Permission denied (publickey).",
        "AUTHENTICATION_FAILED",
        "check --user and your key: ssh n.example",
    ),
    "name": (
        "ssh: Could not resolve hostname n.example: Name or service not known",
        "HOST_UNRESOLVED",
        "check the spelling: ssh n.example",
    ),
    "silent": (
        "Failed to connect to the host via ssh: ssh: connect to host n1 port 22: No route to host",
        "HOST_UNREACHABLE",
        "check that it is up: ssh n1",
    ),
    "nothing": ("\r\n", "HOST_UNREACHABLE", "check that it is up: ssh n1"),
}


@pytest.mark.parametrize("kind", SAID)
def test_what_ssh_says_means_a_code_and_a_remedy(kind):
    text, code, remedy = SAID[kind]
    found = to().explain(text)

    assert (found["code"], found["host"], found["remedy"]) == (code, "n1", remedy)


@pytest.mark.parametrize(
    ("address", "told"),
    [("n1", "port 22: connection refused"), ("10.0.0.7", "10.0.0.7 port 22: connection refused")],
)
def test_a_refused_port_is_named_without_the_host_again(address, told):
    assert to().explain(f"ssh: connect to host {address} port 22: Connection refused\r\n")["message"] == told


def test_the_cause_is_the_last_line_without_what_ansible_puts_before_it():
    def message(text):
        return to().explain(text)["message"]

    assert message("Failed to connect to the host via ssh: no route") == "no route"
    assert message("banner\r\nno route\r\n") == "no route"
    assert message("") == "no answer"


@pytest.mark.parametrize(("text", "exit_code"), [("Permission denied", 255), ("", 5)])
def test_a_password_that_is_not_accepted_is_the_cause(text, exit_code):
    found = to(password=SECRET).explain(text, exit_code)

    assert (found["code"], found["remedy"]) == ("AUTHENTICATION_FAILED", "try it: ssh n.example")


def test_sshpass_names_an_unknown_host_key_by_its_exit_code():
    assert to(password=SECRET).explain("", 6)["code"] == "HOST_KEY_UNKNOWN"
    assert to().explain("", 6)["code"] == "HOST_UNREACHABLE"


@pytest.mark.parametrize(
    ("code", "with_key", "with_password"),
    [(0, True, True), (127, True, True), (255, False, False), (5, True, False), (6, True, False), (None, False, False)]
    + [(-9, False, False)],
)
def test_which_exit_codes_are_of_a_program_on_the_node(code, with_key, with_password):
    assert (to().is_of_node(code), to(password=SECRET).is_of_node(code)) == (with_key, with_password)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh: connect to host n1 port 22: Connection timed out", True),
        ("kex_exchange_identification: read: Connection reset by peer", True),
        ("Connection closed by 10.0.0.1 port 22", True),
        ("ssh: connect to host n1 port 22: Connection refused", False),
        ("Permission denied (publickey).", False),
    ],
)
def test_what_a_busy_machine_says_may_pass(text, expected):
    assert to().may_pass(text) is expected


def test_every_remedy_of_the_page_is_one_that_errors_have():
    usual = ssh.remedies("n.example")
    told = {code: remedy for _, code, remedy in SAID.values()}

    assert usual == {**told, "HOST_UNREACHABLE": "check that it is up: ssh n.example"}
