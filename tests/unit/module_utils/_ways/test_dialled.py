# SPDX-License-Identifier: Apache-2.0
"""Nodes that dial in: both ends prove that they know the key, and what is carried arrives whole or not at all."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import sealed, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._ways import bridge, dialled

pytestmark = pytest.mark.slow

DIAL = """\
import sys
from ansible_collections.madctl.multinode.plugins.module_utils._ways import dial_in
dial_in.AWAY_SECONDS = dial_in._ORPHAN_SECONDS = 1.0
dial_in.serve(("127.0.0.1", int(sys.argv[1])), sys.argv[2], int(sys.argv[3]), sys.argv[4])
"""
KEY = secrets.token_bytes(sealed.KEY_BYTES)
SECONDS = 60.0


class Site:
    """A door, and the programs that dial in to it."""

    def __init__(self, place, hosts=("a", "b")):
        self.place, self.loop = place, Loop()
        self.door = dialled.Door(self.loop, KEY, hosts, "127.0.0.1")
        self.file = place / "key"
        self.file.write_bytes(KEY)
        self.programs = []

    def dial(self, number, name, key_file=None):
        words = [str(self.door.address[1]), str(key_file or self.file), str(number), name]
        program = subprocess.Popen([sys.executable, "-c", DIAL, *words], stderr=subprocess.PIPE)
        self.programs.append(program)
        return program

    def start(self, host, command):
        return dialled.Dialled(host, sys.executable, self.door).start(command)

    def until(self, condition):
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline
            self.loop.turn(0.02)

    def read(self, connection):
        """Read to the end while the door does its work."""
        said = []

        def more():
            with_end = connection.link.recv(1 << 16)
            said.append(with_end)

        self.loop.watch(connection.link, more)
        self.until(lambda: said and not said[-1])
        self.loop.unwatch(connection.link)
        return b"".join(said)

    def stranger(self):
        """Connect, and return the connection and the door's nonce."""
        link = socket.create_connection(self.door.address)
        self.until(lambda: self.door.strangers)
        self.loop.turn(0.1)
        return link, sealed.greeted(link.recv(1024).strip())

    def refused(self, link):
        """Hold that the door closes a connection."""
        self.until(lambda: not self.door.strangers)
        link.settimeout(SECONDS)
        try:
            return link.recv(1024) == b"" and not self.door.arrived
        except ConnectionResetError:
            return not self.door.arrived

    def close(self):
        self.door.__exit__()
        for program in self.programs:
            program.kill()
            program.wait()
            program.stderr.close()
        self.loop.close()


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.close()


def test_every_command_gets_a_connection_of_its_own(site):
    for number, name in enumerate(("a", "b")):
        site.dial(number, name)
    site.until(lambda: not site.door.missing())

    for name in ("a", "b", "a", "a"):
        assert site.read(site.start(name, f"echo {name}; echo unseen >&2")) == f"{name}\n".encode()


def test_a_door_opens_only_at_ports_that_nodes_may_dial_and_that_are_free():
    loop, taken = Loop(), socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    with contextlib.closing(loop), taken:
        with dialled.Door(loop, KEY, ("a",), "127.0.0.1", range(port, port + 20)) as door:
            assert port < door.address[1] < port + 20
        with pytest.raises(OSError, match="in use"):
            dialled.Door(loop, KEY, ("a",), "127.0.0.1", (port,))


def test_a_command_waits_for_a_node_that_dials_in_later(site):
    waiting = site.start("b", "echo late")
    assert site.door.missing() == ["a", "b"]
    site.dial(1, "b")

    assert site.read(waiting) == b"late\n"
    assert site.door.missing() == ["a"]


def test_many_bytes_arrive_in_both_directions(site):
    site.dial(0, "a")
    data = os.urandom(3 << 20)
    connection, waiting, said = site.start("a", "cat"), bytearray(data), bytearray()

    def write():
        with contextlib.suppress(BlockingIOError):
            del waiting[: connection.link.send(waiting)]
        site.loop.write(connection.link, write if waiting else None)

    site.loop.watch(connection.link, lambda: said.extend(connection.link.recv(1 << 16)))
    site.loop.write(connection.link, write)
    site.until(lambda: len(said) == len(data))
    assert bytes(said) == data
    connection.close()


def test_a_program_ends_when_its_channel_does(site):
    site.dial(0, "a")
    connection = site.start("a", f"cat; echo ended > {site.place}/ended")
    site.until(lambda: site.door.arrived)
    connection.close()

    site.until((site.place / "ended").exists)


def test_a_key_that_is_another_is_refused_by_either_end(site, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(secrets.token_bytes(sealed.KEY_BYTES))
    program = site.dial(0, "a", other)
    site.until(lambda: program.poll() is not None)

    assert b"a: cannot dial in to 127.0.0.1" in program.stderr.read()
    assert site.door.arrived == set()


def test_a_program_without_the_key_says_that_it_cannot_read_it(site):
    program = site.dial(0, "a", site.place / "none")
    assert program.wait(SECONDS) == 1
    assert program.stderr.read().decode() == f"madctl: a: cannot see {site.place}/none: No such file or directory\n"


def test_a_program_does_not_obey_one_that_does_not_know_the_key(site):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        port = str(server.getsockname()[1])
        program = subprocess.Popen([sys.executable, "-c", DIAL, port, str(site.file), "0", "a"], stderr=subprocess.PIPE)
        site.programs.append(program)
        link = server.accept()[0]
        link.sendall(sealed.greeting(sealed.nonce()))
        assert json.loads(link.recv(1024))["name"] == "a"
        link.sendall(b"0" * 64 + b"\n")
        link.settimeout(SECONDS)
        assert link.recv(1024) == b""
        link.close()


@pytest.mark.parametrize("node, name", [(0, "b"), (2, "a"), (-1, "b"), (0, "c")])
def test_a_node_that_is_not_of_the_run_is_refused_though_it_knows_the_key(site, node, name):
    link, theirs = site.stranger()
    link.sendall(sealed.introduction(KEY, theirs, sealed.Introduction(node, name, sealed.nonce())))

    assert site.refused(link)


def test_an_introduction_for_another_greeting_is_refused(site):
    link, _ = site.stranger()
    link.sendall(sealed.introduction(KEY, sealed.nonce(), sealed.Introduction(0, "a", sealed.nonce())))

    assert site.refused(link)


@pytest.mark.parametrize("said", [b"\n", b"{}\n", b"[" * 900 + b"\n", b'{"node": true}\n', b"x" * 2000, b"\xff\n"])
def test_what_is_no_introduction_is_refused(site, said):
    link, _ = site.stranger()
    link.sendall(said)

    assert site.refused(link)


def test_a_stranger_who_says_nothing_does_not_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(dialled, "_HANDSHAKE_SECONDS", 0.05)
    site = Site(tmp_path)
    link = socket.create_connection(site.door.address)

    # The door may open and close in one turn of a busy machine.
    assert site.read(SimpleNamespace(link=link)).count(b"\n") == 1
    assert not site.door.strangers and not site.door.arrived
    site.close()


def test_a_program_ends_in_order_when_the_door_closes(site):
    program = site.dial(0, "a")
    site.until(lambda: site.door.arrived)
    site.door.__exit__()

    assert program.wait(SECONDS) == 0, program.stderr.read()


def test_what_was_started_ends_with_the_door_even_if_it_has_left_its_parent(site):
    program = site.dial(0, "a")
    started = site.start("a", "setsid sleep 600 >/dev/null 2>&1 & echo $!")
    pid = int(site.read(started))
    site.door.__exit__()

    assert program.wait(SECONDS) == 0
    assert not Path(f"/proc/{pid}").exists()


def test_a_signal_of_the_scheduler_does_not_end_the_program_first(site):
    program = site.dial(0, "a")
    site.until(lambda: site.door.arrived)
    for _ in range(2):
        program.send_signal(signal.SIGTERM)

    assert site.read(site.start("a", "echo here")) == b"here\n"


def records(key, *pieces):
    seals = sealed.Sealer(key)
    return [seals.seal(piece) for piece in pieces]


@pytest.mark.parametrize(
    "change",
    [
        lambda one, two: two + one,
        lambda one, two: one + one,
        lambda one, two: one[:-1] + b"!",
        lambda one, two: b"\xff" + one[1:],
        lambda one, two: bytes(4) + one[4:],
        lambda one, two: records(b"x" * 32, b"one")[0],
    ],
    ids=["order", "twice", "changed", "long", "empty", "direction"],
)
def test_records_that_were_changed_on_the_way_are_refused(change):
    one, two = records(b"k" * 32, b"one", b"two")
    opens = sealed.Opener(b"k" * 32)

    with pytest.raises(wire.WireError):
        assert list(opens.feed(change(one, two))) == [b"one"]


def test_records_arrive_in_any_pieces():
    opens, whole = sealed.Opener(b"k" * 32), b"".join(records(b"k" * 32, b"one", b"two" * 200_000))
    found = [piece for at in range(0, len(whole), 7001) for piece in opens.feed(whole[at : at + 7001])]

    assert b"".join(found) == b"one" + b"two" * 200_000


def test_a_peer_that_sends_what_is_not_authentic_ends_its_channel(site):
    link, theirs = site.stranger()
    own = sealed.Introduction(0, "a", sealed.nonce())
    link.sendall(sealed.introduction(KEY, theirs, own))
    site.until(lambda: site.door.arrived)
    connection = site.start("a", "true")
    seals = sealed.Sealer(sealed.keys(KEY, theirs, own.nonce).dials)
    link.sendall(seals.seal(b"true ") + b"\0\0\0\4" + bytes(36))

    assert site.read(connection) in (b"true ", b"")
    link.close()


def test_a_bridge_makes_the_sender_wait_for_a_slow_reader(monkeypatch):
    monkeypatch.setattr(bridge, "_WAITING_BYTES", 1 << 16)
    loop, (near, plain), (far, end) = Loop(), socket.socketpair(), socket.socketpair()
    over = []
    carried = bridge.Bridge(
        loop, plain, far, sealed.Sealer(b"k" * 32), sealed.Opener(b"l" * 32), lambda: over.append(True)
    )
    near.setblocking(False)
    sent, until = 0, time.monotonic() + 1.0
    while time.monotonic() < until:
        try:
            sent += near.send(bytes(1 << 16))
        except BlockingIOError:
            loop.turn(0.01)

    assert sent < 4 << 20
    carried.close()
    assert over == [True]
    for link in (near, end):
        link.close()
    loop.close()
