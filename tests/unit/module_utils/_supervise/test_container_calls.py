# SPDX-License-Identifier: Apache-2.0
"""What scripts in a container and our wrapper of madengine tell each other through files, and what is not believed."""

import json
import os
import shlex
import socket
import subprocess
import threading
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._plan import container_scripts
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import container_calls

DIRECTORIES = ("calls", "orders", "begun", "done", "asked")
MODEL = "7"


@pytest.fixture
def place(tmp_path):
    for name in DIRECTORIES:
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def shared(place):
    return container_calls.Shared(str(place))


def plan(*names, runner="mpirun"):
    nodes = [
        {"node_rank": rank, "address": f"10.0.0.{rank + 1}", "nproc_per_node": 2, "interface": "eth0"}
        for rank, _ in enumerate(names)
    ]
    return {"runner": runner, "nodes": nodes, "network": "10.0.0.0/24", "start_timeout": 60.0}


def furnished(place, node=0, runner="mpirun", **model):
    """Write the scripts of a node, and give the environment in which its runner is called."""
    about = {"variables": {}, "mpi_args": [], "mpirun": None, **model}
    made = plan("n1", "n2", runner=runner)
    for name, text in container_scripts.of(made, made["nodes"][node], about).items():
        (place / name).write_text(text)
        (place / name).chmod(0o700)
    return {**os.environ, "MADCTL_MODEL": MODEL, "MADCTL_RUN_DIR": str(place)}


def program(place, name, text):
    (place / "bin").mkdir(exist_ok=True)
    (place / "bin" / name).write_text("#!/bin/sh\n" + text)
    (place / "bin" / name).chmod(0o700)
    return {"PATH": f"{place}/bin:/usr/bin:/bin"}


def test_the_script_of_a_model_gets_its_variables_whatever_they_hold(place):
    odd = 'it\'s "$(touch /tmp/x)" `true` \\ %s'
    env = furnished(place, variables={"ODD": odd, "NODE_RANK": "1"}, runner="torchrun")
    shown = 'printf "%s|" "$ODD" "$NODE_RANK" "$MAD_MULTI_NODE_RUNNER" "$MADCTL_RUNNER_LINE"'
    words = [place / "model", "sh", "-c", shown]
    done = subprocess.run(words, env={**env, "MAD_MULTI_NODE_RUNNER": "A=1 torchrun"}, capture_output=True, text=True)

    assert done.stdout == f"{odd}|1|{place}/runner|A=1 torchrun|"


def test_the_runner_needs_no_eval_and_keeps_words_apart(place):
    env = furnished(place, runner="torchrun")
    found = program(place, "torchrun", 'echo "$A"; printf "%s|" "$@"; exit 4')
    line = {"MADCTL_RUNNER_LINE": "A=1 torchrun --nnodes 2", "PYTHON_EXEC": "kept"}
    words = [place / "runner", "-m", "a b", "$HOME", "it's"]
    done = subprocess.run(words, env={**env, **found, **line}, capture_output=True, text=True)

    assert (done.stdout, done.returncode) == ("1\n--nnodes|2|-m|a b|$HOME|it's|", 4)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mpirun (Open MPI) 4.1.4", "--host 10.0.0.1:2,10.0.0.2:2 -np 4 --bind-to none --map-by slot"),
        ("mpirun (Open MPI) 5.0.11", "--host 10.0.0.1:2,10.0.0.2:2 -np 4 --bind-to none --map-by slot"),
        ("HYDRA build details:\n    Version: 4.0.2", "-hosts 10.0.0.1:2,10.0.0.2:2 -np 4"),
    ],
)
def test_the_runner_knows_the_mpi_of_the_image(place, text, kind):
    env = furnished(place)
    say = f'[ "$1" != --version ] || {{ echo {shlex.quote(text)}; exit; }}; echo "$MADCTL_CALL $@"'
    env.update(program(place, "mpirun", say))
    program(place, "python3", "exit 1")
    done = subprocess.run([place / "runner", "train", "a b"], env=env, capture_output=True, text=True)

    assert done.stdout == f"{MODEL}.1 {kind} train a b\n", done.stderr


@pytest.mark.parametrize(
    ("text", "code"),
    [(None, "MPI_MISSING"), ("Intel(R) MPI Library 2021", "MPI_UNSUPPORTED"), ("mvapich2-2.3", "MPI_UNSUPPORTED")],
)
def test_an_mpi_that_cannot_be_used_is_told(place, shared, text, code):
    env = furnished(place)
    env["PATH"] = f"{place}/bin"
    for name in ("mkdir",):
        program(place, name, f'exec /bin/{name} "$@"')
    if text:
        program(place, "mpirun", f"echo {shlex.quote(text)}")
    done = subprocess.run(["/bin/sh", place / "runner", "x"], env=env, capture_output=True, text=True)

    assert (done.returncode, container_calls.trouble(shared)[0]) == (127, code)


def answering(place, answers):
    """Stand for a supervisor that answers each request."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place / run_directory.RELAY_SOCKET))
    listener.listen()
    heard = []

    def serve():
        for answer in answers:
            link, _ = listener.accept()
            with link:
                heard.append(json.loads(link.recv(1 << 16)))
                link.sendall(json.dumps(answer).encode())

    threading.Thread(target=serve, daemon=True).start()
    return heard


def test_an_agent_asks_and_gets_its_answer(place, shared, monkeypatch):
    monkeypatch.chdir(place)
    env = {**furnished(place), "MADCTL_CALL": "7.1"}
    heard = answering(place, [{"address": "10.0.0.2", "refused": ""}, {"address": "x", "refused": "no node"}])
    asking = container_calls.Asking(shared, "key")
    ended = []
    for host in ("10.0.0.2", "x"):
        agent = subprocess.Popen([place / "agent", host, "orted", "-x"], env=env, stderr=subprocess.PIPE, text=True)
        while agent.poll() is None:
            asking.look()
        ended.append((agent.returncode, agent.stderr.read()))

    assert ended == [(0, ""), (255, "madctl: x: no node\n")]
    assert [request["command"] for request in heard] == ["MADCTL_CALL=7.1 orted -x"] * 2


@pytest.mark.parametrize("connects", [True, False], ids=["connected", "ended"])
def test_an_agent_of_mpich_stays_until_its_daemon_has_connected_or_ended(place, shared, monkeypatch, connects):
    monkeypatch.chdir(place)
    env = {**furnished(place), "MADCTL_CALL": "7.1"}
    asking = container_calls.Asking(shared, "key")
    with socket.socket(socket.AF_UNIX) as relay, socket.create_server(("127.0.0.1", 0)) as mpirun:
        relay.bind(run_directory.RELAY_SOCKET)
        relay.listen()
        port = "127.0.0.1:%d" % mpirun.getsockname()[1]
        agent = subprocess.Popen([place / "agent", "n2", "hydra_pmi_proxy", "--control-port", port, "-x"], env=env)
        answered = threading.Thread(target=lambda: asked(asking, place))
        answered.start()
        link, _ = relay.accept()
        link.recv(1 << 16)
        link.sendall(b'{"address": "127.0.0.1", "refused": ""}')
        answered.join()
        assert agent.poll() is None
        daemon = socket.create_connection(mpirun.getsockname()) if connects else link.close()

        assert wait(asking, agent) == [0]
        if daemon:
            daemon.close()


def asked(asking, place):
    """Look until an agent has its answer."""
    deadline = time.monotonic() + 60
    while not list(place.glob("asked/*/answer")) and time.monotonic() < deadline:
        asking.look()


class Supervisor:
    """Stands for the supervisor of a node that is not the first."""

    def __init__(self, place):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(place / run_directory.RELAY_SOCKET))
        listener.listen()
        self._listener = listener

    def accept(self):
        self.link, _ = self._listener.accept()
        return json.loads(self.link.recv(1 << 16))

    def send(self, **message):
        self.link.sendall(json.dumps({"serial": 4, **message}).encode() + b"\n")


@pytest.fixture
def waiting(place, shared, monkeypatch):
    monkeypatch.chdir(place)
    supervisor = Supervisor(place)
    porter = container_calls.Waiting(shared, "key")
    assert supervisor.accept() == {"key": "key"}
    return supervisor, porter


def wait(porter, *processes):
    deadline = time.monotonic() + 60
    while any(process.poll() is None for process in processes):
        porter.look()
        if time.monotonic() > deadline:
            for process in processes:
                process.kill()
    return [process.returncode for process in processes]


def test_a_runner_that_waits_becomes_the_daemon_of_its_call(place, waiting):
    supervisor, porter = waiting
    env = furnished(place, node=1)
    supervisor.send(command="MADCTL_CALL=7.1 sh -c 'test \"$MADCTL_CALL\" = 7.1 && exit 9'")
    runner = subprocess.Popen([place / "runner", "train"], env=env)

    assert wait(porter, runner) == [9]
    porter.look()
    assert supervisor.link.recv(100) == b"begun\nended 4\n"


def test_calls_that_the_first_node_has_passed_are_released(place, waiting):
    supervisor, porter = waiting
    env = furnished(place, node=1)
    other = subprocess.Popen([place / "runner"], env={**env, "MADCTL_MODEL": "8"})
    first = subprocess.Popen([place / "runner"], env=env)
    supervisor.send(command="MADCTL_CALL=7.2 exit 5")

    assert wait(porter, other, first) == [1, 1]
    assert wait(porter, subprocess.Popen([place / "runner"], env=env)) == [5]


def test_calls_are_paired_where_nothing_tells_models_apart(place, waiting):
    supervisor, porter = waiting
    supervisor.send(command="MADCTL_CALL=0.1 exit 6")

    for model in ({}, {"MADCTL_MODEL": ""}):
        env = {name: value for name, value in furnished(place, node=1).items() if name != "MADCTL_MODEL"}
        assert wait(porter, subprocess.Popen([place / "runner"], env={**env, **model})) == [6]
        supervisor.send(command="MADCTL_CALL=0.2 exit 6")


def test_when_the_first_node_has_ended_nobody_waits(place, waiting):
    supervisor, porter = waiting
    env = furnished(place, node=1)
    runner = subprocess.Popen([place / "runner"], env=env)
    supervisor.send(over=0)

    assert wait(porter, runner) == [0]
    assert subprocess.run([place / "runner"], env=env, check=False).returncode == 0


def test_an_image_without_the_daemon_is_told(place, shared, waiting):
    supervisor, porter = waiting
    env = furnished(place, node=1)
    supervisor.send(command="MADCTL_CALL=7.1 no-such-daemon")

    assert wait(porter, subprocess.Popen([place / "runner"], env=env, stderr=subprocess.DEVNULL)) == [127]
    assert container_calls.trouble(shared)[0] == "MPI_MIXED"


# -- what the container's root may do --------------------------------------------------------------


def test_no_link_is_followed(place, shared, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_text("hidden")
    (place / run_directory.ASKED / "1").mkdir()
    (place / run_directory.ASKED / "1" / "words").symlink_to(secret)
    (place / run_directory.ASKED / "2").symlink_to(secret.parent)
    (place / run_directory.TROUBLE).symlink_to(secret)

    assert shared.text("asked/1", "words", 100) is None
    assert shared.text("asked/2", "secret", 100) is None
    assert container_calls.trouble(shared) == (None, "")
    (place / "orders").rmdir()
    (place / "orders").symlink_to(secret.parent)
    shared.write("orders", "secret", "overwritten")
    assert secret.read_text() == "hidden" and os.listdir(secret.parent) == ["secret"]


def test_what_is_too_long_or_no_file_is_not_read(place, shared):
    (place / "orders" / "long").write_text("x" * 101)
    os.mkfifo(place / "orders" / "pipe")
    (place / run_directory.TROUBLE).write_text("NO_SUCH_CODE \x1b[2J")

    assert shared.text("orders", "long", 100) is None
    assert not shared.text("orders", "pipe", 100)
    assert container_calls.trouble(shared) == (None, "")
    (place / run_directory.TROUBLE).write_text("MPI_MISSING no \x1b[2J mpirun\n")
    assert container_calls.trouble(shared) == ("MPI_MISSING", "no ?[2J mpirun")
