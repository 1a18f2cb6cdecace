# SPDX-License-Identifier: Apache-2.0
"""What happened in a run, kept beside its record: which events, with which times, and a file that may be damaged."""

import json
import os
import stat

import pytest

from madctl.records import record_store, run_story
from madctl.records.run_story import MOST_BYTES, Collector, Entry, Keeper
from tests import hostile

RUN = "20261101-120000-aaaaaaaa"
NODES = [{"host": "a", "clock_offset": 2.0}, {"host": "b", "clock_offset": None}]
PLAN = {"run_id": RUN, "nodes": NODES}
PLANNED = {"event": "planned", "plan": PLAN, "warnings": [], "without_ifconfig": []}
JOINED = {"event": "joined", "host": "a", "rank": 0, "seq": 3, "time": 105.0, "argv0": "/secret/python", "pid": 7}


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    record_store.directory().mkdir(parents=True)


def path():
    return record_store.story(RUN)


def launched():
    """Return the keeper of a launch whose run has a record now."""
    keeper = Keeper(90.0)
    keeper.take({"event": "probed", "host": "a", "answered": True, "way": {"argv": ["ssh"]}}, 100.0)
    keeper.take(PLANNED, 101.0)
    keeper.begin(RUN, PLAN, 1)
    return keeper


def kept():
    return [(entry.at, entry.attempt, dict(entry.event)) for entry in run_story.read(RUN)]


def test_what_comes_before_the_record_is_written_with_it():
    keeper = Keeper(90.0)
    keeper.take(PLANNED, 101.0)
    assert not path().exists()
    keeper.begin(RUN, PLAN, 1)

    assert kept() == [(101.0, 1, {"event": "planned", "since": 90.0, "warnings": []})]
    assert stat.S_IMODE(path().stat().st_mode) == 0o600


def test_times_of_nodes_are_converted_and_none_is_in_the_future():
    keeper = launched()
    keeper.take(JOINED, 110.0)
    keeper.take({**JOINED, "seq": 4, "rank": 1, "time": 300.0}, 111.0)
    keeper.take({"event": "suspect", "host": "b"}, 112.0)

    assert [at for at, _, _ in kept()] == [100.0, 101.0, 103.0, 111.0, 112.0]


def test_nothing_of_the_job_and_of_the_ways_to_nodes_is_kept():
    keeper = launched()
    keeper.take(JOINED, 110.0)
    keeper.take({"event": "log", "host": "a", "log": "rank-0.out", "offset": 0}, 110.0)
    failed = {"event": "rank_exit", "host": "a", "rank": 0, "exit_code": 1, "signal": None, "seq": 5}
    keeper.take({**failed, "error": "Secret: swordfish"}, 111.0)
    after = {"code": "RANK_FAILED", "host": "a", "message": "rank 0 failed", "error": "swordfish", "rank": 0}
    keeper.take({"event": "restart", "attempt": 1, "of": 2, "replaced": {}, "after": after, "plan": PLAN}, 112.0)
    text = path().read_text()

    assert [event["event"] for _, _, event in kept()] == ["probed", "planned", "joined", "rank_exit", "restart"]
    assert not [word for word in ("swordfish", "secret", "ssh", "argv", "rank-0.out") if word in text]


def test_a_restart_begins_the_next_attempt():
    keeper = launched()
    keeper.take({"event": "restart", "attempt": 1, "of": 2, "replaced": {"a": "c"}, "plan": PLAN}, 112.0)
    keeper.take({"event": "started", "host": "c", "seq": 2}, 113.0)

    assert [attempt for _, attempt, _ in kept()] == [1, 1, 2, 2]
    assert kept()[2][2] == {"event": "restart", "attempt": 1, "of": 2, "replaced": {"a": "c"}}


def test_a_plan_that_waits_for_net_tools_is_no_attempt():
    keeper = Keeper(90.0)
    keeper.take({**PLANNED, "plan": None, "without_ifconfig": ["a"]}, 95.0)
    keeper.take(PLANNED, 101.0)
    keeper.begin(RUN, PLAN, 1)

    assert [(at, attempt) for at, attempt, _ in kept()] == [(101.0, 1)]


def test_who_attaches_adds_what_is_new_and_does_not_take_the_time_of_reading_for_that_of_the_event():
    launched().take(JOINED, 110.0)
    keeper = Keeper(500.0)
    keeper.begin(RUN, PLAN, 1)
    for event in ({"event": "ready", "host": "a"}, JOINED, {"event": "suspect", "host": "a"}):
        keeper.take(event, 510.0)

    assert [(at, event["event"]) for at, _, event in kept()][2:] == [(103.0, "joined"), (510.0, "suspect")]


def test_the_story_is_bounded_and_has_room_for_what_only_this_machine_knows():
    keeper = launched()
    for rank in range(10_000):
        keeper.take({**JOINED, "rank": rank, "seq": rank + 3}, 110.0)
    for number in range(100):
        keeper.take({"event": "suspect", "host": "b"}, 200.0 + number)

    assert path().stat().st_size <= MOST_BYTES
    assert [event["event"] for _, _, event in kept()].count("suspect") == 100
    for number in range(10_000):
        keeper.take({"event": "suspect", "host": "b"}, 1000.0 + number)
    assert path().stat().st_size <= MOST_BYTES


def test_a_long_text_is_cut_and_long_findings_are_left_out():
    keeper = launched()
    keeper.take({"event": "lost", "host": "a", "message": "x" * 100_000}, 110.0)
    many = [{"code": "X", "host": f"h{number}", "message": "y" * 300, "remedy": None} for number in range(1000)]
    keeper.take({**PLANNED, "warnings": many}, 120.0)

    assert len(kept()[2][2]["message"]) == 400
    assert kept()[3][2]["warnings"] == []


def test_a_dry_run_leaves_nothing():
    keeper = Keeper(90.0)
    keeper.take(PLANNED, 101.0)

    assert os.listdir(record_store.directory()) == []


def test_a_file_that_cannot_be_written_harms_nothing(monkeypatch):
    path().mkdir()
    launched().take(JOINED, 110.0)

    assert run_story.read(RUN) == []


def test_a_link_in_the_place_of_the_story_is_not_followed(tmp_path):
    path().symlink_to(tmp_path / "elsewhere")
    launched()

    assert not (tmp_path / "elsewhere").exists()


DAMAGED = {
    "cut": b'{"at": 1, "what": {"event": "lost", "ho',
    "not JSON": b"\x00\xff",
    "a list": b"[]",
    "a number": b"7",
    "no time": b'{"what": {"event": "lost", "host": "a"}}',
    "a time of no clock": b'{"at": 1e99, "what": {"event": "lost", "host": "a"}}',
    "no kind": b'{"at": 1, "what": {}}',
    "an unknown kind": b'{"at": 1, "what": {"event": "later"}}',
    "a kind that is none": b'{"at": 1, "what": {"event": ["lost"]}}',
    "an attempt that is none": b'{"at": 1, "attempt": -1, "what": {"event": "lost"}}',
    "nothing": b'{"at": 1, "what": 3}',
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_line_is_left_out(name):
    launched()
    whole = path().read_bytes()
    path().write_bytes(whole + DAMAGED[name] + b"\n" + whole)

    assert len(kept()) == 4


@pytest.mark.parametrize(
    ("field", "value"),
    [("host", 3), ("seq", 0), ("seq", "1"), ("message", ["x"]), ("message", None)],
)
def test_a_field_that_is_not_what_it_should_be_is_left_out(field, value):
    line = {"at": 1.0, "what": {"event": "lost", "host": "a", "seq": 1, "message": "m", field: value}}
    path().write_text(json.dumps(line) + "\n")
    ((_, _, found),) = kept()

    assert field not in found and len(found) == 3


@pytest.mark.fuzz
def test_any_bytes_are_read(rounds):
    launched().take(JOINED, 110.0)
    for data in hostile.mutated([path().read_bytes()], rounds):
        for entry in run_story._parsed(data):
            assert isinstance(entry, Entry) and entry.at >= 0


def test_who_only_reads_writes_nothing_and_knows_no_time_but_that_of_the_event():
    collector = Collector(PLAN, 2)
    collector.begin(RUN, PLAN, 2)
    for event in (JOINED, {"event": "suspect", "host": "a"}, {"event": "suspect", "host": "a", "at": 120.0}):
        collector.take(event, 999.0)

    assert [(entry.at, entry.attempt) for entry in collector.entries] == [(103.0, 2), (120.0, 2)]
    assert not path().exists()


def test_what_a_record_leaves_is_removed_with_it():
    launched()
    record = type("Record", (), {"run_id": RUN})
    record_store.forget(record)

    assert os.listdir(record_store.directory()) == []
