# SPDX-License-Identifier: Apache-2.0
"""What is made of the log of a pod, in which a job may write whatever it likes."""

import json
import random
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, pod_log
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import fields
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import pod_reading
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.pod_reading import Reader, stamped
from tests.unit.module_utils import odd_data

EXIT = {"event": "exit", "host": "pod-1", "outcome": "exited", "exit_code": 0, "signal": None, "seq": 1, "time": 5.0}
TOLD = [
    {"event": "started", "host": "pod-0", "seq": 1, "pid": 7},
    {"event": "rank_exit", "host": "pod-1", "seq": 2, "rank": 3, "exit_code": 1, "signal": None, "error": "x"},
    {"event": "lost", "host": "pod-1", "seconds": 1.0, "message": "gone"},
    EXIT,
]


def said(label, data):
    return pod_log.lines(label, data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")


def frames(reader, lines, at=None):
    return [frame for line in lines for frame in reader.take(at, line)]


def moment(text):
    return stamped(text.encode() + b" x")[0]


# -- times --------------------------------------------------------------------------------------------

EARLIER_AND_LATER = [
    ("2026-12-01T05:00:00Z", "2026-12-01T05:00:00.000000001Z"),
    ("2026-12-01T05:00:00.09Z", "2026-12-01T05:00:00.1Z"),
    ("2026-12-01T05:00:00.999999999Z", "2026-12-01T05:00:01Z"),
    ("2026-12-31T23:59:59.9Z", "2027-01-01T00:00:00Z"),
    # A node that tells the time of its place, in the night in which clocks are put back.
    ("2026-10-25T02:59:59.5+02:00", "2026-10-25T02:00:00.5+01:00"),
    ("2026-12-01T05:00:00+05:30", "2026-12-01T00:00:00Z"),
    ("2026-12-01T05:00:00Z", "2026-12-01T04:30:00-01:00"),
]


@pytest.mark.parametrize(("earlier", "later"), EARLIER_AND_LATER)
def test_times_are_in_order_however_they_are_written(earlier, later):
    assert moment(earlier) < moment(later)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-12-01T05:00:00.1Z", "2026-12-01T05:00:00.100000000Z"),
        ("2026-12-01T05:00:00Z", "2026-12-01T05:00:00.0Z"),
        ("2026-12-01T05:00:00Z", "2026-12-01T06:00:00+01:00"),
    ],
)
def test_one_moment_is_one_time(one, other):
    assert moment(one) == moment(other)


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_a_time_is_the_one_that_was_written(at, minutes):
    zone = timezone(timedelta(minutes=minutes))
    known = at.replace(tzinfo=timezone.utc)

    assert abs(moment(known.astimezone(zone).isoformat()).epoch - known.timestamp()) < 1e-6


NO_TIMES = [
    *("", "x", "2026-12-01", "2026-12-01T05:00:00", "2026-12-01 05:00:00Z", "2026-12-01T05:00:00.Z"),
    *("2026-13-01T05:00:00Z", "2026-02-30T05:00:00Z", "2026-12-01T24:00:00Z", "0000-12-01T05:00:00Z"),
    *(
        "2026-12-01T05:00:00.1234567890Z",
        "2026-12-01T05:00:00+99:99",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "2026-12-01T05:00:00Zx",
    ),
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_belongs_to_the_line(text):
    line = text.encode() + b" event: {}"

    assert stamped(line) == (None, line)


def test_the_line_after_a_time_is_kept_byte_by_byte():
    assert stamped(b"2026-12-01T05:00:00Z  a \r")[1] == b" a \r"
    assert stamped(b"2026-12-01T05:00:00Z")[1] == b""


# -- output -------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["rank-0.out", "rank-1.err"]), st.binary(max_size=9000)), max_size=5))
def test_all_output_arrives_with_the_offsets_that_it_had(written):
    reader, logs = Reader("pod-1", False), {}
    for label, data in written:
        for event, payload in frames(reader, said(label, data), moment("2026-12-01T05:00:00.5Z")):
            assert (event["event"], event["host"], event["bytes"]) == ("log", "pod-1", len(payload))
            assert event["offset"] == len(logs.setdefault(event["log"], b"")) and event["time"] % 1 == 0.5
            logs[event["log"]] += payload

    assert logs == {label: b"".join(data for one, data in written if one == label) for label, data in written if data}


def test_what_is_missing_counts_for_the_offset_of_what_follows():
    gap, after = frames(Reader("pod-1", False), [pod_log.gap("rank-0.out", 7), *said("rank-0.out", b"x")])

    assert gap == ({"event": "skipped", "host": "pod-1", "log": "rank-0.out", "size": 7}, b"")
    assert after[0]["offset"] == 7


# -- what the conductor says --------------------------------------------------------------------------


def test_events_of_a_run_come_as_they_were_told():
    told = [event for event in TOLD if pod_reading.is_event(event)]

    assert [
        event for event, _ in frames(Reader("pod-0", True), [line for one in told for line in said("event", one)])
    ] == told
    assert EXIT in told


def test_only_the_first_pod_speaks_for_the_run():
    lines = [*said("event", EXIT), *said("state", {"stage": "x"}), *said("result", {"problems": [], "exit_code": 0})]
    other, first = Reader("pod-1", False), Reader("pod-0", True)

    assert frames(other, lines) == [] and other.state == {} and other.result is None
    assert len(frames(first, lines)) == 1 and first.state and first.result is not None


HOSTILE = [
    *(
        b"\n",
        b"[]\n",
        b"1\n",
        b"null\n",
        b"{}\n",
        b'{"event": null}\n',
        b'{"event": []}\n',
        b'{"event": {"a": 1}}\n',
        b"\xff\n",
    ),
    *(
        b'{"event": "exit", "host": []}\n',
        b'{"event": "exit", "host": null}\n',
        b'{"event": "log", "log": "rank-0.out"}\n',
    ),
    *(b"[" * 100_000 + b"\n", b'{"a":' * 100_000 + b"\n", b'{"event": "exit", "seq": ' + b"9" * 5000 + b"}\n"),
    *(
        b'{"event": "\\ud800"}\n',
        b'{"event": "started", "host": "x", "seq": NaN}\n',
        b'{"event": "planned", "plan": 1}\n',
    ),
]


@pytest.mark.parametrize("label", [pod_log.EVENT, pod_log.STATE, pod_log.RESULT])
@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: repr(data[:30]))
def test_what_is_not_told_by_a_conductor_is_dropped(label, data):
    assert frames(Reader("pod-0", True), said(label, data)) == []


def test_events_with_odd_values_are_dropped_or_have_valid_fields():
    source, passed = random.Random(7), 0
    for _ in range(1500):
        try:
            data = json.dumps(odd_data.changed(source.choice(TOLD), source)).encode()
        except (ValueError, TypeError):
            continue
        for event, _ in frames(Reader("pod-0", True), said("event", data + b"\n")):
            passed += 1
            tables = (events.TOLD_BY_NODES, events.TOLD_BY_FOLLOWER)
            known = [table[event["event"]] for table in tables if event["event"] in table]
            assert any(fields(kind.required, kind.optional)(event) for kind in known) and isinstance(
                event.get("host", ""), str
            )

    assert passed > 100


RESULT = {"problems": [], "exit_code": 0, "restarts": []}
NO_RESULTS = [
    *({}, {"problems": []}, {"exit_code": 0}, {**RESULT, "problems": None}, {**RESULT, "problems": [{}]}),
    *(
        {**RESULT, "problems": ["x"]},
        {**RESULT, "exit_code": "0"},
        {**RESULT, "exit_code": None},
        {**RESULT, "restarts": 1},
    ),
    *(
        {**RESULT, "exit_code": -1},
        {**RESULT, "exit_code": True},
        {**RESULT, "by_scheduler": "no"},
        {**RESULT, "summary": 1},
    ),
    {**RESULT, "problems": [{"code": "RANK_FAILED", "host": None, "message": "x", "remedy": None}]},
    {**RESULT, "exit_code": 6},
]


@pytest.mark.parametrize("found", NO_RESULTS)
def test_a_result_that_contradicts_itself_or_is_malformed_is_none(found):
    reader = Reader("pod-0", True)
    frames(reader, said("result", found))

    assert reader.result is None


def test_a_long_object_comes_in_parts_and_an_endless_one_is_dropped(monkeypatch):
    reader = Reader("pod-0", True)
    frames(reader, said("state", {"stage": "x" * 50_000}))
    assert len(reader.state["stage"]) == 50_000

    frames(reader, [*said("state", b'{"stage": "' + b"w" * 50_000), *said("state", b'w"}\n')])
    assert len(reader.state["stage"]) == 50_001
    monkeypatch.setattr(pod_reading, "_MOST_BYTES", 10_000)
    frames(reader, [*said("state", b'{"stage": "' + b"y" * 50_000), *said("state", b'"}\n')])
    assert reader.state["stage"][0] == "w"
    frames(reader, said("state", {"stage": "z"}))
    assert reader.state == {"stage": "z"}


def test_what_is_not_ours_is_kept_for_who_asks_why_nothing_began():
    reader = Reader("pod-0", True)
    assert frames(reader, [b"python3: \xff not found", b"", b"  "]) == []

    assert reader.stray == "python3: \ufffd not found"
