# SPDX-License-Identifier: Apache-2.0
"""How long mpirun's agent stays: MPICH wants it until its daemon has connected, and waits until it has ended."""

import json
import os
import socket
import subprocess
import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import mpi_agent
from tests.unit.module_utils.real_supervisor import start

pytestmark = pytest.mark.slow

KEY, HERE = "ab" * 32, "127.0.0.1"
DAEMON = ["exec", "true", "hydra_pmi_proxy", "--control-port"]


@pytest.fixture
def armed(arm):
    """Arm the supervisor of the first node, or of another one."""

    def make(leads, **more):
        mpi = {"key": KEY, "address": HERE, "places": {"n2": HERE}, "leads": leads, "ranks": 2, "many": False}
        mpi.update(hands=False, seconds=240.0)
        # Both nodes are this machine: the one that ends would sweep away what carries the run's id.
        work = ("env", "-u", run_directory.RUN_ID, "sleep", "300")
        run = arm(*work, mpi=mpi, node_rank=0 if leads else 1, **more)
        (run.run_dir / run_directory.RELAY_KEY).write_text(KEY)
        (run.run_dir / run_directory.RANKS).write_text(json.dumps({"start_timeout": 240.0}))
        return run

    return make


@pytest.fixture
def first(armed):
    return armed(leads=True)


def agent(run, port):
    """Start the agent as mpirun does, for a daemon that connects to a port of this machine."""
    words = [sys.executable, "-I", "-S", mpi_agent.__file__, "n2", *DAEMON, f"{HERE}:{port}"]
    return subprocess.Popen(words, env={**os.environ, run_directory.RUN_DIR: str(run.run_dir)})


def event(channel, decoder, name):
    """Read until an event comes, and return it."""
    while True:
        data = channel.recv(1 << 16)
        assert data, f"it ended without {name}"
        for header, _ in decoder.feed(data):
            if header["event"] == name:
                return header


def order(channel, **message):
    channel.sendall(json.dumps(message).encode() + b"\n")


def test_an_agent_stays_until_its_daemon_has_connected(first):
    channel = start(first)
    with socket.create_server((HERE, 0)) as listener:
        waiting = agent(first, listener.getsockname()[1])
        event(channel, wire.Decoder(), "daemon_wanted")
        assert waiting.poll() is None
        with socket.create_connection(listener.getsockname()):
            assert waiting.wait(60) == 0


def test_an_agent_ends_with_a_daemon_that_was_faster(armed, first):
    other = armed(leads=False, run_id=first.run_id)
    ours, theirs = start(first), other.connect()
    theirs.send(b"g")
    with socket.create_server((HERE, 0)) as listener:
        waiting = agent(first, listener.getsockname()[1])
        wanted = event(ours, wire.Decoder(), "daemon_wanted")
        order(theirs, **{name: wanted[name] for name in ("address", "serial", "command", "seal")})
        ended = event(theirs, wire.Decoder(), "daemon_ended")
        order(ours, ended=ended["serial"] + 1)
        order(ours, ended=ended["serial"])

        assert ended["serial"] == wanted["serial"]
        assert waiting.wait(60) == 0


def test_a_supervisor_outlives_an_agent_that_has_ended(first):
    channel = start(first)
    waiting = agent(first, 1)
    decoder = wire.Decoder()
    wanted = event(channel, decoder, "daemon_wanted")
    waiting.kill()
    waiting.wait()
    order(channel, ended=wanted["serial"])
    channel.send(b"s")

    assert event(channel, decoder, "exit")["reason"] == "stopped"
