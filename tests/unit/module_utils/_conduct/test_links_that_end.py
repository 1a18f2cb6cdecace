# SPDX-License-Identifier: Apache-2.0
"""Calls to a node whose agent ends, is late, or was taken by another caller meanwhile."""

import os
import select
import socket
import sys
from types import SimpleNamespace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import links, look
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.links import Links
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.proving import Round
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Task
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower
from ansible_collections.madctl.multinode.plugins.module_utils._ways import ssh, way
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local

pytestmark = pytest.mark.slow

QUICK = "_runs.run_state:is_alive"
NO_PORTS = {"address": "127.0.0.1", "ports": []}
SECONDS = 60.0


class Scripted(way.Connection):
    """A program whose part the test plays; it ends as one whose exit code comes later than its last byte."""

    def __init__(self, command):
        ours, self.node = socket.socketpair()
        super().__init__(ours)
        self.mark = command.split("os.write(1,(")[1].split()[0].lstrip('"\\n')
        self.ears, self.mouth = socket.socketpair()
        self.words = self.ears.fileno()
        self.ears.setblocking(False)

    def speak(self):
        self.node.sendall(b"\n%s 00112233\n" % self.mark.encode())

    def heard(self):
        self.node.setblocking(False)
        data = b""
        try:
            while piece := self.node.recv(1 << 20):
                data += piece
        except BlockingIOError:
            pass
        return data


class ByScript(ssh.Ssh):
    """A way whose programs are all played by the test."""

    def __init__(self, host):
        super().__init__(host, "python", ssh.Login(["false"], host, host))
        self.started = []

    def start(self, command, seconds=None):
        self.started.append(Scripted(command))
        return self.started[-1]


@pytest.fixture
def scripted():
    route = ByScript("node1")
    with Agents(Loop(), {"node1": route}) as agents:
        yield agents, route


@pytest.fixture
def here():
    with Agents(Loop(), {"node1": Local("node1", sys.executable)}) as agents:
        yield agents


class Followed:
    """A follower, as far as links need one."""

    def __init__(self):
        self.is_over, self.channels, self.suspects = False, {}, SimpleNamespace()

    def back(self, host, channel):
        raise AssertionError("nobody speaks here")

    def heard(self, host, data):
        raise AssertionError("nobody speaks here")


def reader(started):
    return Task("_runs.log_tail:tail", {}, lambda _: None, raw=lambda _: None, started=started)


def turn_until(agents, is_reached):
    for _ in range(1000):
        if is_reached():
            return
        agents.loop.turn(0.05)
    raise AssertionError("it never happened")


def listen(directory):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(directory / "control.sock"))
    listener.listen()
    listener.setblocking(False)
    return listener


def accepted(listener):
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return None
    connection.settimeout(SECONDS)
    return connection


def test_orders_to_an_agent_that_is_just_ending_are_dropped(scripted):
    agents, route = scripted
    calls, answers = [], []
    agents.call("node1", Task(QUICK, NO_PORTS, answers.append, SECONDS, started=calls.append))
    route.started[0].speak()
    turn_until(agents, lambda: calls)
    route.started[0].node.close()
    agents.loop.turn(SECONDS)
    calls[0].give(b"too late")

    turn_until(agents, lambda: answers)
    assert answers[0]["rc"] is None


def test_what_is_asked_while_an_agent_is_ending_gets_another_agent(scripted):
    agents, route = scripted
    calls = []
    agents.call("node1", Task(QUICK, NO_PORTS, lambda _: None, SECONDS, started=calls.append))
    route.started[0].speak()
    turn_until(agents, lambda: calls)
    route.started[0].node.close()
    agents.loop.turn(SECONDS)
    agents.call("node1", Task(QUICK, NO_PORTS, lambda _: None, SECONDS, started=calls.append))
    route.started[1].speak()

    turn_until(agents, lambda: len(calls) == 2)


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_round_that_was_cancelled_calls_no_node_that_is_reached_later(scripted, is_cancelled):
    agents, route = scripted
    launch = Round(agents, ["node1"], None, lambda *_: Task(QUICK, NO_PORTS, lambda _: None, SECONDS))
    launch.start()
    if is_cancelled:
        launch.cancel()
    route.started[0].speak()
    turn_until(agents, lambda: agents._nodes["node1"].link.is_ready)

    assert (b'"call"' in route.started[0].heard()) is not is_cancelled


@pytest.mark.parametrize("reader_is_first", [True, False])
def test_a_reader_shares_its_agent_with_no_call(scripted, reader_is_first):
    agents, route = scripted
    begun = []

    def read():
        agents.become("node1", reader(lambda _: begun.append("reader")))

    def call():
        agents.call("node1", Task(QUICK, NO_PORTS, lambda _: None, SECONDS, started=lambda _: begun.append("call")))

    for ask in (read, call) if reader_is_first else (call, read):
        ask()
    route.started[0].speak()
    turn_until(agents, lambda: len(route.started) == 2)
    route.started[1].speak()
    turn_until(agents, lambda: len(begun) == 2)

    for one in route.started:
        heard = one.heard()
        assert (b'"become"' in heard) is not (b'"call"' in heard)


def test_all_agents_end_with_the_command_also_those_that_became_readers(scripted):
    agents, route = scripted
    begun = []
    agents.become("node1", reader(begun.append))
    route.started[0].speak()
    turn_until(agents, lambda: begun)
    agents.close()

    assert route.started[0].link.fileno() == -1


def test_a_node_that_is_given_up_before_its_turn_is_not_started_twice(scripted, monkeypatch):
    agents, route = scripted
    monkeypatch.setattr("%s.at_once" % Agents.__module__, lambda: 0)
    answers = []
    agents.call("node1", Task(QUICK, NO_PORTS, answers.append, SECONDS))
    agents.give_up("node1", "enough")
    monkeypatch.undo()
    agents.call("node1", Task(QUICK, NO_PORTS, answers.append, SECONDS))

    assert (len(answers), len(route.started)) == (1, 1)


def test_a_python_that_says_nothing_is_named_and_not_started_again(scripted, monkeypatch):
    agents, route = scripted
    monkeypatch.setattr("%s._SPEAK_SECONDS" % Agents.__module__, 0.1)
    answers = []
    agents.call("node1", Task(QUICK, NO_PORTS, answers.append, SECONDS))
    turn_until(agents, lambda: answers)

    assert (answers[0]["problem"]["code"], len(route.started)) == ("PROBE_FAILED", 1)
    assert "its Python printed nothing" in answers[0]["msg"]


def test_an_agent_that_spoke_and_then_does_nothing_holds_no_probe_up(scripted, monkeypatch):
    agents, route = scripted
    monkeypatch.setattr(runners, "ROWS", [row._replace(probe_seconds=0.1) for row in runners.ROWS])
    monkeypatch.setattr(look, "_MORE_SECONDS", 0.1)
    agents.loop.after(0.0, lambda: route.started[0].speak())
    request = {"shape": "command", "shared_paths": []}
    [seen] = look.at_all(agents, ["node1"], request, lambda *_: None).values()

    assert (seen.problem["code"], "it did not answer in" in seen.problem["message"]) == ("PROBE_FAILED", True)


PLAN = {"run_id": "20300101-000000", "shape": "command", "world_size": 0, "nodes": []}


def test_a_follower_knows_when_it_is_over(scripted):
    agents, route = scripted
    follower = Follower(PLAN, lambda *_: None, agents.loop, agents.ways)
    before = follower.is_over
    follower.follow()

    assert (before, follower.is_over) == (False, True)


@pytest.mark.parametrize("is_over", [True, False])
def test_a_node_that_was_lost_is_looked_for_only_while_somebody_follows(scripted, is_over):
    """The nodes of a restarted run would report the run before."""
    agents, route = scripted
    follower = Followed()
    Links({**PLAN, "nodes": [{"host": "node1"}]}, agents, follower).look_for("node1", {})
    follower.is_over = is_over
    later = []
    agents.loop.after(1.0, lambda: later.append(True))
    turn_until(agents, lambda: later)

    assert bool(route.started) is not is_over


def test_a_reader_that_comes_when_nobody_follows_any_more_is_ended(scripted):
    agents, route = scripted
    follower = Followed()
    Links({**PLAN, "nodes": [{"host": "node1"}]}, agents, follower).open("node1", {}, lambda _: None)
    route.started[0].speak()
    turn_until(agents, lambda: b'"become"' in route.started[0].heard())
    follower.is_over = True
    route.started[0].node.sendall(b'N{"frames": true}\n')
    turn_until(agents, lambda: route.started[0].link.fileno() == -1)


def test_a_reader_that_never_speaks_is_given_up(scripted, monkeypatch):
    monkeypatch.setattr(links, "_SPEAK_SECONDS", 0.05)
    agents, route = scripted
    follower = Followed()
    failed = []
    Links({**PLAN, "nodes": [{"host": "node1"}]}, agents, follower).open("node1", {}, failed.append)
    route.started[0].speak()
    turn_until(agents, lambda: failed)

    assert failed == ["node1"] and route.started[0].link.fileno() == -1


def test_what_a_call_started_ends_with_it_also_where_it_hangs(here, tmp_path):
    """A call has its own children for what may hang; it is killed, and cannot end them."""
    os.mkfifo(tmp_path / "hangs")
    proof = {"read": [{"path": str(tmp_path), "names": {"other": "hangs"}}]}
    here.call("node1", Task("_arm.prove:prove", proof, lambda _: None, SECONDS, told=lambda _: None))
    writers = []

    def is_read():
        try:
            writers.append(os.open(tmp_path / "hangs", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    turn_until(here, is_read)
    here.close()
    # As long as the reader lives there is no end.
    poll = select.poll()
    poll.register(writers[0], select.POLLERR)
    ended = poll.poll(SECONDS * 1000)
    os.close(writers[0])

    assert ended


# -- what a call arms --------------------------------------------------------------------------------


def armed(agents, listener, tmp_path, **how):
    ended, connections = [], []
    agents.call("node1", Task(QUICK, NO_PORTS, ended.append, SECONDS, arms=str(tmp_path), **how))

    def is_followed():
        connections.extend(filter(None, [accepted(listener)]))
        # The agent connects before it says that the call has ended.
        return connections and ended

    turn_until(agents, is_followed)
    assert ended == [{"alive": False}]
    return connections[0]


def test_what_a_call_armed_is_disarmed_where_the_channel_ends_before_anybody_follows(here, tmp_path):
    with listen(tmp_path) as listener, armed(here, listener, tmp_path) as supervisor:
        here.close()

        assert supervisor.recv(1) == b""


def test_the_controller_takes_over_what_follows_already(here, tmp_path):
    heard = []
    with listen(tmp_path) as listener, armed(here, listener, tmp_path) as supervisor:
        channel = here.relay("node1", str(tmp_path), heard.append, lambda: None)
        supervisor.sendall(b"event")
        channel.give(b"order")
        turn_until(here, lambda: heard)

        assert (b"".join(heard), supervisor.recv(5), accepted(listener)) == (b"event", b"order", None)


def test_nobody_follows_what_was_not_armed(here, tmp_path):
    answers, again = [], []
    with listen(tmp_path) as listener:
        here.call("node1", Task("_runs.run_end:stop_now", {}, answers.append, SECONDS, arms=str(tmp_path)))
        turn_until(here, lambda: answers)
        here.call("node1", Task(QUICK, NO_PORTS, again.append, SECONDS))
        turn_until(here, lambda: again)
        turn_until(here, lambda: not here._nodes["node1"].link._streams)

        assert (answers[0]["failed"], accepted(listener)) == (True, None)


def test_a_program_on_this_machine_can_still_end_what_it_started(tmp_path):
    program = "import os;os.write(1,b'1');os.read(0,1);open(%r,'w')" % str(tmp_path / "ended")
    route = Local("here", sys.executable)
    connection = route.start(route.command(program))
    connection.link.settimeout(SECONDS)
    assert connection.link.recv(1) == b"1"
    connection.close()

    assert (tmp_path / "ended").exists()
