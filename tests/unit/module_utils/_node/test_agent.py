# SPDX-License-Identifier: Apache-2.0
"""The agent on a node: what it does over one channel, and that no call affects the others."""

import contextlib
import os
import signal
import socket

import pytest

from tests.unit.module_utils.agent_by_hand import Agent, is_gone, request, state, until

# A deadline by which a function has begun, also on a busy machine.
SOON = 4.0


@pytest.fixture
def agent():
    agent = Agent()
    yield agent
    agent.close()


def pids(path):
    """Wait for the processes of a call that hangs."""
    return [int(word) for word in until(lambda: path.exists() and path.read_text()).split()]


def test_a_call_gives_its_answer(agent):
    assert agent.call(1, "echo", {"a": [1, "é"]}) == [("A", {"got": {"a": [1, "é"]}})]
    assert agent.ended == {1: 0}


def test_news_come_before_the_answer(agent):
    lines = agent.call(1, "speak", 3, speaks=True)
    assert lines == [*(("N", {"number": number}) for number in range(3)), ("A", {"said": 3})]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("fail", "ValueError: one\ntwo"),
        ("nothing_to_say", "TypeError: Object of type object is not JSON serializable"),
        ("no_such_function", "AttributeError: module"),
    ],
)
def test_an_error_is_one_line_and_affects_only_its_call(agent, function, said):
    agent.begin(1, "read_all")
    ((kind, answer),) = agent.call(2, function)
    assert kind == "A" and answer["failed"] is True and answer["msg"].startswith(said)
    agent.tell({"close": 1})
    assert agent.wait(1) == [("A", {"size": 0})]


def test_a_missing_module_is_an_error_of_its_call(agent):
    ((_, answer),) = agent.call(1, "echo", module="_tests.no_such_module")
    assert answer["failed"] is True and "ModuleNotFoundError" in answer["msg"]
    assert agent.call(2, "echo", 1) == [("A", {"got": 1})]


@pytest.mark.parametrize(("function", "status"), [("leave", 0), ("crash", signal.SIGKILL)])
def test_a_function_that_ends_its_process_gives_no_answer(agent, function, status):
    assert agent.call(1, function) == []
    assert agent.ended == {1: status}
    assert agent.call(2, "echo", 1) == [("A", {"got": 1})]


def test_a_call_that_hangs_is_ended_after_its_deadline(agent, tmp_path):
    agent.begin(1, "hang", str(tmp_path / "pids"), seconds=SOON)
    running = pids(tmp_path / "pids")
    assert agent.wait(1) == []
    assert agent.ended[1] == signal.SIGKILL
    for pid in running:
        until(lambda pid=pid: is_gone(pid))


def test_a_call_that_hangs_delays_no_other(agent, tmp_path):
    agent.begin(1, "hang", str(tmp_path / "pids"))
    running = pids(tmp_path / "pids")
    assert agent.call(2, "echo", 2) == [("A", {"got": 2})]
    assert 1 not in agent.ended and not any(map(is_gone, running))


def test_input_goes_to_its_call_until_it_is_closed(agent):
    agent.begin(1, "read_all")
    agent.begin(2, "read_all")
    # More than a socket holds, so that some of it must wait.
    for _ in range(8):
        agent.tell({"give": 1}, b"x" * (1 << 19))
    agent.tell({"give": 2}, b"abc")
    agent.tell({"close": 2})
    agent.tell({"close": 1})
    assert agent.wait(1) == [("A", {"size": 8 << 19})]
    assert agent.wait(2) == [("A", {"size": 3})]


def test_too_much_input_for_a_function_that_reads_nothing_ends_it(agent, tmp_path):
    agent.begin(1, "hang", str(tmp_path / "pids"))
    running = pids(tmp_path / "pids")
    for _ in range(80):
        agent.tell({"give": 1}, b"x" * (1 << 20))
    assert agent.wait(1) == []
    for pid in running:
        until(lambda pid=pid: is_gone(pid))
    assert agent.call(2, "echo", 2) == [("A", {"got": 2})]


def test_a_dropped_call_ends(agent, tmp_path):
    agent.begin(1, "hang", str(tmp_path / "pids"))
    running = pids(tmp_path / "pids")
    agent.tell({"drop": 1})
    assert agent.wait(1) == []
    for pid in running:
        until(lambda pid=pid: is_gone(pid))


def test_data_for_an_unknown_stream_is_ignored(agent):
    for word in ("give", "close", "drop"):
        agent.tell({word: 7}, b"x" if word == "give" else b"")
    assert agent.call(1, "echo", 1) == [("A", {"got": 1})]


# -- supervisors -------------------------------------------------------------------------------------


@pytest.fixture
def supervised(tmp_path):
    """Listen as a supervisor does, in a directory whose path is longer than the name of a socket."""
    place = tmp_path.joinpath(*["d" * 60] * 5)
    place.mkdir(parents=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.getcwd()
    os.chdir(place)
    try:
        listener.bind("control.sock")
    finally:
        os.chdir(before)
    listener.listen(1)
    listener.settimeout(60)
    yield str(place), listener
    listener.close()


def test_a_relay_leads_to_the_supervisor_and_back(agent, supervised):
    place, listener = supervised
    agent.tell({"relay": 1, "directory": place})
    end, _ = listener.accept()
    agent.tell({"give": 1}, b"go")
    end.settimeout(60)
    assert end.recv(10) == b"go"
    end.sendall(b"ready")
    until(lambda: agent.read() and agent.heard[1] == b"ready")
    end.close()
    agent.wait_end(1)
    assert agent.ended[1] == 0


def test_a_relay_that_is_dropped_ends_for_the_supervisor(agent, supervised):
    place, listener = supervised
    agent.tell({"relay": 1, "directory": place})
    end, _ = listener.accept()
    end.settimeout(60)
    agent.tell({"drop": 1})
    assert end.recv(10) == b""
    end.close()


@pytest.mark.parametrize("directory", ["", "/no/such/place", "/dev/null", "a\0b", None, 7])
def test_a_relay_without_a_supervisor_ends_at_once(agent, directory, tmp_path):
    agent.tell({"relay": 1, "directory": str(tmp_path) if directory == "" else directory})
    assert agent.wait(1) == [] and agent.ended == {1: 1}
    assert agent.call(2, "echo", 2) == [("A", {"got": 2})]


def test_a_supervisor_that_accepts_no_connection_delays_no_other_stream(agent, supervised):
    place, _ = supervised
    # As many as may wait to be accepted, and one more.
    for number in range(1, 5):
        agent.tell({"relay": number, "directory": place})
    assert agent.call(9, "echo", 9) == [("A", {"got": 9})]


# -- the channel -------------------------------------------------------------------------------------


def test_a_function_that_takes_over_the_channel_gets_the_bytes_after_its_request(agent):
    header = b'{"become": true, "module": "_tests.functions", "function": "orders"}\n'
    whole = header + request({"a": "b" * 100})
    # Part of the request arrives with the frame, and part of it later.
    agent.channel.sendall(whole[:-50])
    until(lambda: state(agent.process.pid) == "S" and not agent.unread())
    agent.channel.sendall(whole[-50:])
    seen = b""
    while not seen.endswith(b"\n"):
        seen += agent.channel.recv(1 << 16)
    assert seen == b'N{"frames": true}\n'
    agent.channel.sendall(b"last.")
    seen = b""
    while piece := agent.channel.recv(1 << 16):
        seen += piece
    assert seen == b"LAST.A{}\n"
    assert agent.process.wait(60) == 0


def test_a_function_that_cannot_take_over_the_channel_returns_why(agent):
    agent.tell({"become": True, "module": "_tests.functions", "function": "no_such_function"})
    agent.channel.sendall(request(None))
    seen = b""
    while piece := agent.channel.recv(1 << 16):
        seen += piece
    assert seen.startswith(b'A{"failed": true, "msg": "AttributeError')


def test_earlier_ends_are_reported_before_the_channel_is_taken_over(agent):
    agent.begin(1, "no_such_function")
    agent.tell({"become": True, "module": "_tests.functions", "function": "no_such_function"})
    agent.wait(1)


def test_the_end_of_the_channel_ends_what_was_started(agent, tmp_path):
    agent.begin(1, "hang", str(tmp_path / "pids"))
    running = pids(tmp_path / "pids")
    agent.channel.close()
    for pid in running:
        until(lambda pid=pid: is_gone(pid))
    assert agent.process.wait(60) == 0


def test_a_call_that_finishes_notices_the_end_of_the_channel(agent, tmp_path):
    agent.begin(1, "notice", str(tmp_path / "noticed"), finishes=True)
    assert agent.call(2, "echo", 2) == [("A", {"got": 2})]
    agent.channel.close()
    assert until(lambda: (tmp_path / "noticed").exists() and (tmp_path / "noticed").read_text()) == "noticed"
    assert agent.process.wait(60) == 0


def test_a_call_that_should_finish_and_does_not_ends_at_its_deadline(agent, tmp_path):
    agent.begin(1, "hang", str(tmp_path / "pids"), finishes=True, seconds=SOON)
    running = pids(tmp_path / "pids")
    agent.channel.close()
    for pid in running:
        until(lambda pid=pid: is_gone(pid))


@pytest.mark.parametrize(
    "said",
    [
        b"this is not a frame\n",
        b"x" * (1 << 21),
        b'{"call": 5}\n',
        b'{"call": [], "module": "_tests.functions", "function": "echo", "seconds": 1}\n',
        b'{"call": 1, "module": "_tests.functions", "function": "echo", "seconds": 1}\n',
        b'{"relay": 5}\n',
        b'{"load": true, "bytes": 3}\nabc',
        b'{"of": 1, "bytes": 99999999}\n',
    ],
)
def test_invalid_data_ends_the_agent_and_everything_it_started(agent, said, tmp_path):
    agent.begin(1, "hang", str(tmp_path / "pids"))
    running = pids(tmp_path / "pids")
    with contextlib.suppress(ConnectionError):
        agent.channel.sendall(said)
    for pid in running:
        until(lambda pid=pid: is_gone(pid))
    assert agent.process.wait(60) == 0


def test_a_deadline_may_be_any_number(agent):
    agent.begin(1, "read_all", seconds=1e308)
    assert agent.call(2, "echo", 2, seconds=float("inf")) == [("A", {"got": 2})]


# -- who does not read -------------------------------------------------------------------------------


def test_a_controller_that_does_not_read_costs_bounded_memory_and_delays_no_deadline(agent, tmp_path):
    assert agent.call(1, "echo", 1) == [("A", {"got": 1})]
    before = agent.resident()
    for number in range(2, 6):
        agent.begin(number, "flood")
    agent.begin(9, "hang", str(tmp_path / "pids"), seconds=SOON)
    running = pids(tmp_path / "pids")
    for pid in running:
        until(lambda pid=pid: is_gone(pid))
    assert agent.resident() - before < 16 << 20
    for number in range(2, 6):
        agent.tell({"drop": number})
        agent.wait_end(number)
    agent.wait_end(9)
    assert agent.call(10, "echo", 1) == [("A", {"got": 1})]


def test_a_controller_that_does_not_read_costs_no_processor_time(agent, tmp_path):
    agent.begin(1, "flood")
    agent.begin(2, "read_all")
    agent.begin(3, "hang", str(tmp_path / "pids"), seconds=SOON)
    running = pids(tmp_path / "pids")
    # The flooding call waits, and so does the agent: the channel is full.
    until(lambda: {state(pid) for pid in (agent.process.pid, agent.children[0])} == {"S"} and not agent.unread())
    before = agent.ticks()
    agent.tell({"close": 2})
    for pid in running:
        until(lambda pid=pid: is_gone(pid))
    assert agent.ticks() - before < 0.2


# -- children ----------------------------------------------------------------------------------------


def test_a_child_keeps_only_its_own_stream_open(agent):
    for number in (1, 2):
        agent.begin(number, "read_all")
    ((_, answer),) = agent.call(3, "streams")
    links = {number: name for number, name in answer["found"].items() if name.startswith("socket:")}
    assert links.pop("0") == links.pop("1")
    assert links == {}


def test_children_are_collected(agent):
    for number in range(1, 6):
        agent.call(number, "echo", number)
    assert [state(pid) for pid in agent.children] == []


# -- names -------------------------------------------------------------------------------------------


def test_an_agent_is_recognised_by_its_command_line(agent):
    agent.call(1, "echo")
    with open(f"/proc/{agent.process.pid}/cmdline", "rb") as stream:
        assert stream.read().rstrip(b"\0") == b"madctl\0agent"


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        (["/usr/bin/python3", "-I", "-S", "/run/bin/madctl_node.py", "program", "/runs/é"], True),
        (["x" * 100_000], False),
    ],
)
def test_a_child_takes_another_command_line_where_it_fits(agent, words, fits):
    ((_, answer),) = agent.call(1, "command_line", words)
    assert answer["fits"] is fits
    assert answer["shown"] == (words if fits else ["madctl", "agent"])
    # The agent keeps its own.
    with open(f"/proc/{agent.process.pid}/cmdline", "rb") as stream:
        assert stream.read().rstrip(b"\0") == b"madctl\0agent"
