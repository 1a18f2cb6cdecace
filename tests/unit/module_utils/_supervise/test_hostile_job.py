# SPDX-License-Identifier: Apache-2.0
"""A job can send anything to its supervisor, which survives, and emits only events that every follower understands."""

import json
import socket

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._follow import door
from ansible_collections.madctl.multinode.plugins.module_utils._runs import log_tail, run_state
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import mpi_relay, rank_reports, rank_wrapper
from tests import hostile

IDENTITY = {"rank": 0, "local_rank": 0, "world_size": 2, "local_world_size": 2}
MESSAGES = [
    {**IDENTITY, "event": "joined", "pid": 5, "argv0": "python"},
    {**IDENTITY, "event": "exec_failed", "pid": 5, "argv0": "python", "errno": 2, "reason": "ENOENT"},
    {"event": "rank_exit", "time": 1.5, "exit_code": 1, "signal": None, "error": "x"},
    {"event": "models", "rows": [{"model": "a", "status": "SUCCESS"}], "failed": [], "exit_code": 0},
    # As Popen reports that a signal ended it.
    {"event": "models", "rows": [], "failed": ["madengine failed: SIGKILL"], "alone": [], "exit_code": -9},
]


def told(message):
    """Return what a supervisor emits for a message."""
    more = {"models": {"stopping": False}, "rank_exit": {"rank": 0, "stopping": False, "oom": False}}
    return {**message, **more.get(message["event"], {}), "seq": 1, "time": 1.0}


@pytest.mark.parametrize("message", MESSAGES, ids=[message["event"] for message in MESSAGES])
def test_messages_of_our_programs_are_accepted_and_understood(message):
    assert rank_reports._message(json.dumps(message).encode()) == message
    assert door.check(told(message)) == told(message)


@pytest.mark.parametrize("name", ["last", "self", "time", "stopping", "seq", "host", "name"])
def test_nothing_else_of_a_message_is_passed_on(name):
    for message in MESSAGES:
        found = rank_reports._message(json.dumps({**message, name: 1}).encode())
        assert found is None or name not in found or name in message


@pytest.mark.fuzz
def test_messages_of_a_job_are_accepted_or_ignored(rounds):
    samples = [json.dumps(message).encode() for message in MESSAGES]
    for data in hostile.mutated(samples, rounds):
        message = rank_reports._message(data)
        if message is not None:
            assert door.check(told(message)), data


@pytest.fixture
def relay():
    spec = {
        "key": "ab" * 32,
        "address": "10.0.0.1",
        "places": {"n2": "10.0.0.2"},
        "leads": True,
        "ranks": 2,
        "many": False,
        "hands": False,
    }
    return mpi_relay.Relay({**spec, "seconds": 1.0}, "r", lambda **_: None, lambda: True)


@pytest.mark.fuzz
def test_requests_for_daemons_are_accepted_or_refused(relay, rounds):
    events = []
    relay.emit = lambda **event: events.append(event)
    good = json.dumps({"key": "ab" * 32, "host": "n2", "command": "/usr/bin/orted -x"}).encode() + b"\n"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert relay._ask(ours, good) == ("10.0.0.2", "")
        for data in hostile.mutated([good, good.replace(b"ab", b"\\ud800")], rounds):
            address, refused = relay._ask(ours, data)
            assert refused or address == "10.0.0.2"
            assert door.check({**events.pop(), "seq": 1}) if events else refused


@pytest.mark.fuzz
def test_orders_to_start_daemons_are_accepted_or_refused(relay, rounds):
    relay.leads = False
    good = {"address": "10.0.0.1", "serial": 1, "command": "/usr/bin/orted -x"}
    good["seal"] = mpi_relay.seal("ab" * 32, "r", *good.values())
    assert relay.opened(good) == good["command"] and relay.opened(good) is None
    for data in hostile.mutated([json.dumps({**good, "serial": 9}).encode() + b"\n"], rounds):
        for message in wire.Orders().feed(data)[1]:
            assert relay.opened(message) is None


@pytest.mark.parametrize(
    "text", ['{"message": "\\ud800"}', '{"message": {"message": ["\\ud800"]}}', "[" * 100_000, "{}", "[]"]
)
def test_an_error_file_gives_text_or_nothing(tmp_path, text):
    (tmp_path / "error").write_text(text)
    found = rank_wrapper.error_text(str(tmp_path / "error"))
    assert found is None or found.encode()


@pytest.mark.fuzz
def test_files_of_a_run_are_read_as_far_as_they_are_valid(tmp_path, monkeypatch, rounds):
    lines = [json.dumps(dict(told(message), seq=number)).encode() + b"\n" for number, message in enumerate(MESSAGES)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    request = {"run_id": "r", "run_dir": str(tmp_path), "follow": False}
    for number, data in enumerate(hostile.mutated([b"".join(lines), *lines], rounds)):
        (tmp_path / "events.jsonl").write_bytes(data)
        assert all(isinstance(event["event"], str) for event in run_state.read_events(str(tmp_path)))
        if number % 4:
            continue
        frames = []
        log_tail.Tail(request, frames.append)._events()
        for frame in frames:
            assert len(list(wire.Decoder().feed(frame))) <= 1
