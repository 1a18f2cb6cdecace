# SPDX-License-Identifier: Apache-2.0
"""Ways to nodes: what they start, which channels they open, what their errors mean."""

import ast
import os
import socket
import sys
import threading
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way, ssh
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.local import Local
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.ssh import Ssh

PYTHON = {"ansible_python_interpreter": sys.executable}
# It writes down how it was called, forwards where it may, and runs the command here.
STAND_IN = """\
#!{python}
import os, socket, subprocess, sys
words = sys.argv[1:]
if words == ["-V"]:
    sys.exit("OpenSSH_9.2")
with open(sys.argv[0] + ".called", "a") as stream:
    print(repr(words), file=stream)
if "-L" in words and {forwards}:
    os.symlink(*reversed(words[words.index("-L") + 1].split(":")))
os.execv("/bin/sh", ["/bin/sh", "-c", words[-1]])
"""


class Connection:
    """What Ansible's ssh has that ours asks it for."""

    transport = "ssh"

    def __init__(self, executable="ssh", **options):
        self.host = None
        self.options = {"timeout": 10, "ssh_executable": executable, "ssh_extra_args": "-v", **options}

    def get_option(self, name):
        return self.options.get(name)

    def set_option(self, name, value):
        self.options[name] = value

    def _build_command(self, executable, kind):
        return [executable.encode(), b"-a"]


@pytest.fixture
def run_dir(tmp_path):
    """The directory of a run whose supervisor greets whoever comes."""
    place = tmp_path / "run"
    place.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "control.sock"))
        server.listen()
        thread = threading.Thread(target=_greet, args=(server,), daemon=True)
        thread.start()
        yield str(place)
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _greet(server):
    try:
        while True:
            server.accept()[0].sendall(b"ready")
    except OSError:
        pass  # Shut down.


def greeting(way, run_dir):
    with way.channel(run_dir) as channel:
        channel.settimeout(10)
        return b"".join(iter(lambda: channel.recv(9), b""))


def stand_in(tmp_path, forwards=True):
    path = tmp_path / "ssh"
    path.write_text(STAND_IN.format(python=sys.executable, forwards=forwards))
    path.chmod(0o700)
    return Ssh("node1", PYTHON, Connection(str(path)))


def calls(tmp_path):
    return list(map(ast.literal_eval, (tmp_path / "ssh.called").read_text().splitlines()))


def test_this_machine_needs_nobody_in_between(run_dir):
    way = Local("localhost", PYTHON)

    assert way.start("cat; echo $0").communicate(b"in ", timeout=10)[0] == b"in /bin/sh\n"
    assert greeting(way, run_dir) == b"ready"


def test_a_command_goes_over_the_connection_that_ansible_has(tmp_path):
    way = stand_in(tmp_path)

    assert way.start("cat; echo 'a  b'").communicate(b"in ", timeout=10)[0] == b"in a  b\n"
    assert [words[:-1] for words in calls(tmp_path)] == [["-a", "-T", "--", "node1"]]
    assert way._place is None


def test_a_channel_is_forwarded_by_the_command_that_makes_the_supervisor(tmp_path, run_dir):
    way = stand_in(tmp_path)
    way.start("true", run_dir).wait(10)
    place = way._place

    assert greeting(way, run_dir) == b"ready"
    assert len(calls(tmp_path)) == 1
    way.close()
    assert not os.path.exists(place)


def test_where_nothing_is_forwarded_a_process_takes_its_place(tmp_path, run_dir):
    way = stand_in(tmp_path, forwards=False)
    way.start("true", run_dir).wait(10)

    assert greeting(way, run_dir) == b"ready"
    assert len(calls(tmp_path)) == 2
    way.close()


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
        "install sshpass here, or enrol a key: ssh-copy-id n.example",
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
    found = Ssh("n1", {"ansible_host": "n.example"}, Connection()).explain(text)

    assert (found["code"], found["host"], found["remedy"]) == (code, "n1", remedy)


def test_the_cause_is_the_last_line_without_what_ansible_puts_before_it():
    def message(text):
        return Ssh("n1", {}, Connection()).explain(text)["message"]

    assert message("Failed to connect to the host via ssh: no route") == "no route"
    assert message("banner\r\nno route\r\n") == "no route"
    assert message("") == "no answer"


def test_a_password_that_is_not_accepted_is_the_cause():
    found = Ssh("n1", {}, Connection(password="x")).explain("Permission denied")  # noqa: S106

    assert (found["code"], found["remedy"]) == ("AUTHENTICATION_FAILED", "try it: ssh n1")


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
    assert Ssh("n1", {}, Connection()).may_pass(text) is expected
    assert not Local("n1", {}).may_pass(text)


@pytest.mark.parametrize(("chosen", "expected"), [(10, 4), (30, 30)])
def test_a_time_that_users_chose_stays(chosen, expected):
    connection = Connection(timeout=chosen)
    Ssh("n1", {}, connection).limit(4)

    assert connection.options["timeout"] == expected


def test_another_connection_of_ansible_s_is_left_as_it_is():
    connection = Connection(timeout=10)
    connection.transport = "paramiko_ssh"
    way = choose_way.along(connection, "n1", {})
    way.limit(4)

    assert connection.options == Connection().options
    assert (way.arguments, way.is_mine("sshpass")) == ({}, False)


def test_other_tasks_get_the_arguments_that_ours_have():
    connection = Connection()
    way = Ssh("n1", {"madctl_ssh_args": "-F 'my config'"}, connection)

    assert way.arguments == {"ssh_extra_args": connection.options["ssh_extra_args"]}
    assert way.arguments["ssh_extra_args"].startswith("-v -o ")
    assert "BatchMode=yes" in way.arguments["ssh_extra_args"]
    assert way.arguments["ssh_extra_args"].endswith(" -F 'my config'")


@pytest.mark.parametrize(
    ("connection", "variables", "expected"),
    [
        ("ssh", {}, Ssh),
        ("smart", {}, Ssh),
        ("local", {}, Local),
        ("ssh", {"ansible_connection": "local"}, Local),
        ("ssh", {"ansible_connection": "ansible.builtin.local"}, Local),
        ("local", {"ansible_connection": "ssh"}, Ssh),
    ],
)
def test_the_way_is_the_one_of_ansible(connection, variables, expected):
    action = SimpleNamespace(_task=SimpleNamespace(connection=connection))

    assert choose_way.kind(action, variables) is expected


@pytest.mark.parametrize("make", [lambda host: Local(host, {}), lambda host: Ssh(host, {}, Connection())])
def test_nobody_is_reached_by_a_name_that_no_host_has(make):
    with pytest.raises(AnsibleActionFail, match="HOST"):
        make("-oProxyCommand=x")


def test_every_remedy_of_the_page_is_one_that_errors_have():
    usual = ssh.remedies("n.example")
    told = {code: remedy for _, code, remedy in SAID.values()}

    assert usual == {**told, "HOST_UNREACHABLE": "check that it is up: ssh n.example"}
