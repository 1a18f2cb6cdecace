# SPDX-License-Identifier: Apache-2.0
"""A node that sends invalid data is lost alone, and that is never taken for a success."""

import json
import socket
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles, channel, link
from ansible_collections.madctl.multinode.plugins.module_utils._follow import door, node_run, run_outcome
from ansible_collections.madctl.multinode.plugins.module_utils._follow.suspects import Links
from ansible_collections.madctl.multinode.plugins.module_utils._ways import way
from tests import hostile
from tests.unit.module_utils.channels import Followed


class NoLinks(Links):
    """Links to nodes of which none comes back, and where a sweep finds nothing."""

    def __init__(self, follower):
        self.follower, self.swept = follower, []

    def look_for(self, host, position):
        json.dumps(position)

    def ask(self, host, peers):
        pass

    def sweep(self, host):
        self.swept.append(host)
        self.follower.suspects.swept(host, [])


class Two:
    """A run on two nodes: one that is honest, and one that sends what it likes."""

    def __init__(self, **more):
        nodes = [
            {
                "host": name,
                "node_rank": rank,
                "run_dir": "/r",
                "clock_offset": 0.0,
                "nproc_per_node": 2,
                "address": name,
            }
            for rank, name in enumerate(("honest", "odd"))
        ]
        self.plan = {"run_id": "r", "runner": "torchrun", "shape": "script", "world_size": 4, "nodes": nodes, **more}
        self.told = []
        self.followed = Followed(self.plan, lambda event, _: self.told.append(event))
        self.follower = self.followed.follower
        self.follower.suspects.links = self.links = NoLinks(self.follower)
        self.ends = {}
        for node in nodes:
            self.ends[node["host"]] = self.followed.connect(node["host"])
        self.honest, self.odd = self.follower.runs

    def send(self, host, data):
        """Send, and let the follower read as much of it as it wants."""
        self.followed.send(host, self.ends[host], data)

    def finish(self, *hosts):
        """End the channels of nodes, as a supervisor does after its last event, and sum up."""
        for host in hosts:
            self.followed.hang_up(host, self.ends[host])
        for run in self.follower.runs:
            if run.suspected_at is not None:
                run.suspected_at -= 1000
                self.follower.suspects.judge(run)
        for end in self.ends.values():
            end.close()
        self.followed.close()
        return run_outcome.judge(self.follower.runs, self.plan, self.follower.orders.interrupted)


def frames(node_rank, **more):
    """What a supervisor sends whose two ranks end well."""
    ranks = [2 * node_rank, 2 * node_rank + 1]
    joined = [{"event": "joined", "rank": rank, "world_size": 4, "pid": 1, "argv0": "python"} for rank in ranks]
    log = ({"event": "log", "log": f"rank-{ranks[0]}.out", "offset": 0}, b"a line\n")
    ends = [
        {"event": "rank_exit", "rank": rank, "exit_code": 0, "signal": None, "time": time.time(), "stopping": False}
        for rank in ranks
    ]
    numbered = [{"event": "started", "pid": 1, "time": time.time()}, *joined, *ends, {**EXIT, **more}]
    return [
        ({"event": "ready", "boot_id": "b", "run_id": "r"}, b""),
        log,
        *((dict(frame, seq=number), b"") for number, frame in enumerate(numbered, 1)),
    ]


EXIT = {"event": "exit", "outcome": "exited", "exit_code": 0, "signal": None, "ranks_joined": 2, "left_behind": []}


def text(*pairs):
    return b"".join(wire.encode(*pair) for pair in pairs)


def test_two_nodes_that_keep_to_it_succeed():
    run = Two()
    for host, rank in (("honest", 0), ("odd", 1)):
        run.send(host, text(*frames(rank)))
    problems, summary = run.finish("honest", "odd")
    assert (problems, summary["ranks_joined"]) == ([], 4)


ODD = {
    "nested": b'{"a": ' + b"[" * 500_000 + b"\n",
    "no end": b"x" * (1 << 21),
    "no object": b"[]\n",
    "no event": b'{"seq": 99}\n',
    "a kind that is none": b'{"event": ["log"], "seq": 99}\n',
    "a log of no name": b'{"event": "log", "seq": 99}\n',
    "a log's name": b'{"event": "log", "log": "../../x", "offset": 0}\n',
    "a log's name that a terminal takes": b'{"event": "log", "log": "rank-\\u001b]0;x\\u0007.out", "offset": 0}\n',
    "a log's offset": b'{"event": "log", "log": "rank-2.out", "offset": -1}\n',
    "a log's offset without end": b'{"event": "log", "log": "rank-2.out", "offset": 1e300}\n',
    "an offset that is true": b'{"event": "log", "log": "rank-2.out", "offset": true}\n',
    "less than nothing is skipped": b'{"event": "skipped", "log": "rank-2.out", "size": -5}\n',
    "a number that is none": b'{"event": "joined", "seq": "x"}\n',
    "a number without end": b'{"event": "joined", "seq": %s}\n' % (b"9" * 400),
    "a rank below zero": b'{"event": "joined", "rank": -1, "seq": 9}\n',
    "another's rank": b'{"event": "joined", "rank": 0, "seq": 9}\n',
    "another's end": b'{"event": "rank_exit", "rank": 0, "exit_code": 1, "signal": null, "seq": 9}\n',
    "another's program": b'{"event": "exec_failed", "rank": 0, "argv0": "x", "errno": 2, "seq": 9}\n',
    "no message": b'{"event": "start_failed", "seq": 9}\n',
    "a time that is none": b'{"event": "started", "time": NaN, "seq": 9}\n',
    "a time without end": b'{"event": "started", "time": 1e999, "seq": 9}\n',
    "an error without end": b'{"event": "rank_exit", "exit_code": 1, "signal": null, "error": "%s", "seq": 9}\n'
    % (b"x" * 1_000_000),
    "an end before the end": b'{"event": "end"}\n',
    "a daemon where there is no MPI": b'{"event": "daemon_wanted", "address": "honest", "serial": 1, "command": "orted",'
    b' "seal": "x", "seq": 9}\n',
    "ranks that are late where there is no MPI": b'{"event": "late", "daemon": "unasked", "joined": 0, "seq": 9}\n',
    "an outcome that is none": b'{"event": "exit", "outcome": "fine", "exit_code": 0, "signal": null, "seq": 9}\n',
    "a status that is none": b'{"event": "exit", "outcome": "exited", "exit_code": false, "signal": null, "seq": 9}\n',
    "half a million logs": b"".join(b'{"event": "skipped", "log": "rank-None.%d", "size": 1}\n' % n for n in range(9)),
    "rows that are none": b'{"event": "models", "rows": [1], "failed": [], "stopping": false, "exit_code": 0, "seq": 9}\n',
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_a_node_that_sends_what_no_supervisor_sends_is_lost_alone(data):
    run = Two()
    run.send("odd", text(*frames(1)[:-3]))
    run.send("honest", text(*frames(0)[:-3]))
    run.send("odd", data)
    assert run.odd.failure_code == "PROTOCOL_ERROR" and run.links.swept == ["odd"]
    assert "odd" not in run.follower.channels and "honest" in run.follower.channels
    assert run.ends["honest"].recv(9) == wire.STOP

    run.send("honest", text(*frames(0)))
    problems, _ = run.finish("honest", "odd")
    assert [(entry["code"], entry["host"]) for entry in problems] == [("PROTOCOL_ERROR", "odd")]
    assert len(problems[0]["message"]) < 400


def test_what_comes_before_an_odd_frame_counts():
    run = Two()
    failed = {
        "event": "rank_exit",
        "rank": 2,
        "exit_code": 3,
        "signal": None,
        "stopping": False,
        "seq": 9,
        "time": time.time(),
    }
    run.send("odd", text((failed, b"")) + b"junk\n")
    problems, _ = run.finish("honest", "odd")
    assert (problems[0]["code"], problems[0]["exit_code"]) == ("RANK_FAILED", 3)


def test_a_node_has_so_many_logs_and_no_more(monkeypatch):
    monkeypatch.setattr(door, "MOST_LOGS", 3)
    run = Two(runner="mpirun")
    run.send("odd", text(*(({"event": "log", "log": f"rank-{rank}.out", "offset": 0}, b"x") for rank in range(1000))))
    assert run.odd.failure_code is None and len(run.odd.offsets) == 3


def test_a_file_of_the_job_beside_the_logs_is_no_log_and_harms_nobody():
    run = Two()
    run.send("odd", text(({"event": "log", "log": "rank-0.out", "offset": 0}, b"mine\n")))
    assert (run.odd.failure_code, run.odd.offsets) == (None, {})
    assert not [event for event in run.told if event["event"] == "log"]


def test_ranks_of_a_second_mpirun_are_heard_again():
    run = Two(runner="mpirun")
    ended = {"event": "rank_exit", "rank": 2, "signal": None}
    once = [({"event": "joined", "rank": 2, "seq": 1}, b""), ({**ended, "exit_code": 0, "seq": 2}, b"")]
    again = [({"event": "joined", "rank": 2, "seq": 3}, b""), ({**ended, "exit_code": 7, "seq": 4}, b"")]
    run.send("odd", text(*once, *again))
    assert run.odd.failure["exit_code"] == 7


def test_events_without_end_are_not_kept(monkeypatch):
    monkeypatch.setattr(door, "MOST_EVENTS", 10)
    run = Two()
    run.send("odd", text(*(({"event": "no_dump", "seq": number}, b"") for number in range(1, 1000))))
    run.send("odd", text(({**EXIT, "exit_code": 7, "seq": 1000}, b"")))
    assert [event["event"] for event in run.told] == ["no_dump"] * 10 + ["exit", "stopping"][: len(run.told) - 10]
    assert run.odd.failure["exit_code"] == 7


def test_no_node_joins_for_another():
    run = Two(runner="mpirun")  # Which deals ranks as it likes.
    run.send("honest", text(*(frame for frame in frames(0) if frame[0].get("rank") != 1)))
    twice = [({"event": "joined", "rank": 2, "seq": number}, b"") for number in range(1, 9)]
    run.send("odd", text(*twice, ({**EXIT, "seq": 9}, b"")))
    problems, summary = run.finish("honest", "odd")
    assert [entry["code"] for entry in problems] == ["RANKS_MISSING"] and summary["ranks_joined"] == 2


@pytest.mark.parametrize(
    "last",
    [{"stopped": True, "reason": "peer_failed"}, {"stopped": True}, {"signal": 9}, {"exit_code": None}],
    ids=["stopped by another", "stopped", "by a signal as well", "not at all"],
)
def test_a_share_that_did_not_come_to_its_end_is_no_success(last):
    run = Two()
    for host, rank, more in (("honest", 0, {}), ("odd", 1, last)):
        run.send(host, text(*frames(rank, **more)))
    problems, _ = run.finish("honest", "odd")
    assert [entry["host"] for entry in problems] == ["odd"]


def test_a_channel_that_ends_before_the_run_is_no_success():
    run = Two()
    run.send("honest", text(*frames(0)))
    run.send("odd", text(*frames(1)[:-1]))
    run.follower.go()
    problems, _ = run.finish("odd", "honest")
    assert [(entry["code"], entry["host"]) for entry in problems] == [("NODE_LOST", "odd")]


def test_nobody_takes_a_run_for_a_success_whose_end_nobody_knows():
    problems, _ = run_outcome.judge([node_run.NodeRun("a", 0)], {"shape": "command", "nodes": [{"host": "a"}]}, None)
    assert [(entry["code"], entry["host"]) for entry in problems] == [("NODE_LOST", "a")]


@pytest.mark.parametrize("asked", [True, False])
def test_mpirun_is_not_blamed_by_a_node_that_it_asked(asked):
    run = Two(runner="mpirun", start_timeout=0.0 if not asked else 20.0)
    if asked:
        wanted = {"event": "daemon_wanted", "address": "odd", "serial": 1, "command": "orted", "seal": "x", "seq": 1}
        run.send("honest", text((wanted, b"")))
        assert json.loads(run.ends["odd"].recv(1 << 16))["command"] == "orted"
    run.send("odd", text(({"event": "late", "daemon": "unasked", "joined": 0, "seq": 1, "time": time.time()}, b"")))
    blamed = [node.host for node in run.follower.runs if node.failure]
    assert blamed == (["odd"] if asked else ["honest"])


def test_the_first_node_is_told_of_the_end_of_a_daemon():
    run = Two(runner="mpirun")
    run.send("odd", text(({"event": "daemon_ended", "serial": 3, "seq": 1}, b"")))
    assert json.loads(run.ends["honest"].recv(1 << 16)) == {"ended": 3}


def test_a_node_that_takes_no_orders_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(channel, "WAITING_BYTES", 1 << 20)
    run = Two(runner="mpirun")
    ours, theirs = socket.socketpair()
    over = []
    agent = link.Link(run.followed.loop, way.Connection(ours), "mark", lambda: None, lambda *why: over.append(why))
    theirs.sendall(b"\nmark %s\n" % bundles.OURS.encode())
    while not agent.is_ready:
        run.followed.loop.turn(60)
    relayed = agent.relay("/r", lambda data: None, lambda: run.follower.ended("odd"))
    run.follower.armed("odd", relayed)
    wanted = {"event": "daemon_wanted", "address": "odd", "serial": 1, "command": "x" * 200_000, "seal": "x"}
    for number in range(1, 30):
        run.send("honest", text((dict(wanted, seq=number), b"")))
    deadline = time.monotonic() + 60
    while not over and time.monotonic() < deadline:
        run.followed.loop.turn(1)
    theirs.close()
    assert run.honest.failure is None and run.honest.seq == 29
    assert run.odd.failure is not None and "odd" not in run.follower.channels
    assert over == [("it does not read what it is sent", None)]


def test_an_event_of_a_later_version_is_left_alone():
    with pytest.raises(wire.WireError):
        door.check({"event": None})
    run = Two()
    run.send("odd", text(({"event": "something_new", "seq": 1, "x": 1}, b"")))
    assert run.odd.failure is None and run.told == []


def test_what_is_told_of_a_node_is_what_has_a_row():
    run = Two()
    run.send("odd", text(({"event": "ready", "boot_id": "b", "host": "honest", "more": 1}, b"")))
    assert run.told == [{"event": "ready", "boot_id": "b", "host": "odd"}]


@pytest.mark.fuzz
def test_no_stream_of_one_node_harms_another(rounds):
    samples = [text(*frames(1)), text(*frames(1)[:-1]), text(*(({**frame[0], "seq": 3}, b"") for frame in frames(1)))]
    samples += [data for data in ODD.values() if len(data) < 1000]
    honest = text(*frames(0))
    for data in hostile.mutated(samples, rounds):
        run = Two()
        run.send("odd", data)
        run.send("honest", honest)
        problems, summary = run.finish("odd", "honest")
        assert run.honest.failure is None, data
        assert not [entry for entry in problems if entry["host"] == "honest"], data
        if not problems:
            # Only what is a whole success may be taken for one.
            assert run.odd.exit["exit_code"] == 0 and run.odd.ranks == {2, 3}, data
        json.dumps(summary)


@pytest.mark.fuzz
def test_the_decoder_takes_anything(rounds):
    samples = [
        text(*frames(1)),
        b'{"event": "log", "bytes": 3}\nabc',
        *(data for data in ODD.values() if len(data) < 1000),
    ]
    for number, data in enumerate(hostile.mutated(samples, rounds)):
        whole, pieces, size = wire.Decoder(), wire.Decoder(), 1 + number % 7
        seen = []
        for decoder, cuts in ((whole, [data]), (pieces, [data[at : at + size] for at in range(0, len(data), size)])):
            found = []
            try:
                for cut in cuts:
                    found += decoder.feed(cut)
            except wire.WireError:
                found.append("odd")
            seen.append(found)
        # However it arrives, it is the same.
        assert json.dumps(seen[0], default=repr) == json.dumps(seen[1], default=repr)


@pytest.mark.fuzz
def test_orders_take_anything(rounds):
    samples = [b"g", b'{"address": "a", "serial": 1}\n', b'gs{"a": [1, {}]}\nk', b"{" * 100, b'{"a":\n{"b": 1}\nd']
    for data in hostile.mutated(samples, rounds):
        orders, messages = wire.Orders().feed(data)
        assert b"\n" not in orders and all(isinstance(message, dict) for message in messages)
