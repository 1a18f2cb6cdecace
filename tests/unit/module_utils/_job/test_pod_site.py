# SPDX-License-Identifier: Apache-2.0
"""What a conductor reads in its pod, and what it leaves when the pod is gone."""

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, pod_log, pods, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._job import pod_site, site, work
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import word
from tests.unit import ports
from tests.unit.cluster_objects import JSON, ended

ABOUT = {"job": "madctl-x", "service": "madctl-x", "nodes": 3, "port": 29400, "agents_seconds": 300}
REQUEST = {"arguments": {"run_id": "x"}, "agents_seconds": 300}


@pytest.fixture
def place(tmp_path):
    """Return a function that makes the site of a pod; ``written`` are lines of its log."""
    (tmp_path / pods.REQUEST).write_text(json.dumps(REQUEST))
    (tmp_path / pods.KEY).write_bytes(b"k" * 32)

    def make(**more):
        make.written = []
        known = pod_site.About(**{**ABOUT, **more})
        return pod_site.PodSite(known, make.written.append, str(tmp_path), str(tmp_path))

    make.path = tmp_path
    return make


# -- what it is given ---------------------------------------------------------------------------------


def test_what_a_pod_is_told(tmp_path):
    (tmp_path / pods.ABOUT).write_text(json.dumps({**ABOUT, "logs": "/logs", "later": 1}))
    (tmp_path / pods.REQUEST).write_text(json.dumps({**REQUEST, "only": "check"}))

    assert pod_site.about(str(tmp_path)) == pod_site.About(**ABOUT, logs="/logs")
    assert pod_site.request(str(tmp_path))["only"] == "check"


BROKEN = [
    *(None, b"", b"[]", b"{", b"\xff", b"{}", b"null", b"[" * 50000),
    *(
        json.dumps({**ABOUT, **REQUEST, name: value}).encode()
        for name, value in [("arguments", None), ("arguments", {}), ("agents_seconds", "1")]
    ),
    *(
        json.dumps({**ABOUT, **REQUEST, "agents_seconds": value}).encode()
        for value in (float("nan"), float("inf"), -1, None, True)
    ),
]
BROKEN_ABOUT = [
    *BROKEN[:8],
    *(json.dumps({**ABOUT, name: value}).encode() for name in ABOUT for value in (None, [], -1, {}, 1 << 70)),
    *(
        json.dumps({**ABOUT, **more}).encode()
        for more in ({"nodes": "3"}, {"nodes": 0}, {"port": 0}, {"port": 65536}, {"logs": 1})
    ),
]


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: repr(content)[:60])
def test_a_request_that_cannot_be_read_is_refused_in_one_line(tmp_path, content):
    refused(pod_site.request, tmp_path, pods.REQUEST, content)


@pytest.mark.parametrize("content", BROKEN_ABOUT, ids=lambda content: repr(content)[-60:])
def test_a_description_that_cannot_be_read_is_refused_in_one_line(tmp_path, content):
    refused(pod_site.about, tmp_path, pods.ABOUT, content)


def refused(look, place, name, content):
    if content is not None:
        (place / name).write_bytes(content)
    with pytest.raises(site.SiteError) as caught:
        look(str(place))
    assert name in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


# -- orders -------------------------------------------------------------------------------------------

# As kubelet writes them: a key, and its value as Go quotes it.
ORDERS = [
    ('madctl.dev/order="stop"', wire.STOP),
    ('madctl.dev/order="stop"\n', wire.STOP),
    ('kubernetes.io/config.seen="2026-12-01T05:00:00Z"\nmadctl.dev/order="kill"\nz="x"', wire.KILL),
    ('a="x\\nmadctl.dev/order=\\"kill\\""\nmadctl.dev/order="stop"', wire.STOP),
    ("", None),
    ('a="x\\nmadctl.dev/order=\\"kill\\""', None),
    ('xmadctl.dev/order="stop"', None),
    ('a="madctl.dev/order="stop"', None),
    ('madctlxdev/order="stop"', None),
    ('madctl.dev/order="Stop"', None),
    ('madctl.dev/order="stop "', None),
    ('madctl.dev/order=""', None),
    ("madctl.dev/order=stop", None),
    ('madctl.dev/order="' + "s" * 100_000 + '"', None),
    ("\udcff\0\n" * 100 + '\nmadctl.dev/order="stop"', wire.STOP),
]


@pytest.mark.parametrize(("text", "order"), ORDERS, ids=[repr(text[:50]) for text, _ in ORDERS])
def test_an_order_is_read_as_a_kubelet_writes_it(place, text, order):
    (place.path / pods.ANNOTATIONS).write_bytes(text.encode(errors="surrogateescape"))

    assert place().order() == order


def test_without_annotations_there_is_no_order(place):
    assert place().order() is None
    (place.path / pods.ANNOTATIONS).mkdir()
    assert place().order() is None


# -- the door -----------------------------------------------------------------------------------------


def test_a_port_that_is_in_use_says_who_may_use_it(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(site.SiteError, match=f"cannot dial in on port {port}: .*; another run with --host-network"):
            place(port=port).door(Loop())


def test_a_key_that_cannot_be_read_is_no_door(place):
    (place.path / pods.KEY).unlink()
    with pytest.raises(site.SiteError, match="No such file"):
        place().door(Loop())


def test_pods_that_do_not_dial_in_are_named(place):
    there = place(port=ports.free())
    with there.door(Loop()) as door, there.arrivals(door) as arrivals:
        missing = arrivals.wait(0.0, lambda: False)
        assert arrivals.wait(1000.0, lambda: True) == [], "who is told to end does not wait"

    assert [(entry["code"], entry["host"]) for entry in missing] == [
        ("NODE_NOT_READY", f"pod-{number}") for number in range(3)
    ]


# -- what it tells ------------------------------------------------------------------------------------


def test_the_state_is_told_when_it_changes_and_now_and_then(place, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(pod_site.time, "monotonic", lambda: now)
    found = place()
    shown = {
        "began": None,
        "nodes": {"pod-0": {"joined": 1, "state": "armed"}, "pod-1": {"joined": 2, "state": "armed"}},
    }
    found.show("running", shown)
    found.show("running", shown)
    now += 11
    found.show("running", shown)
    found.show("ended", shown)
    pieces = [pod_log.piece(line) for line in place.written]

    assert [json.loads(piece.data)["stage"] for piece in pieces] == ["running", "running", "ended"]
    assert json.loads(pieces[0].data)["joined"] == 3 and {piece.label for piece in pieces} == {"state"}


def test_events_are_told_and_output_is_not(place):
    story = place().story(1)
    story.tell({"event": "log", "host": "pod-0"}, b"x")
    story.tell({"event": "skipped", "host": "pod-0"}, b"")
    story.tell({"event": "started", "host": "pod-0"}, b"")

    assert [json.loads(pod_log.piece(line).data)["event"] for line in place.written] == ["started"]


# -- the last word ------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.text(max_size=50),
    st.sampled_from(
        ["x" * 5000, "\U0001f600" * 5000, "\\" * 5000, "\0" * 5000, "\ud800" * 700, "\udcff" * 5000, "é" * 601]
    ),
)
MAYBE = st.one_of(st.none(), TEXTS)
PROBLEMS = st.fixed_dictionaries(
    {
        "code": st.sampled_from(["RANK_FAILED", "NODE_LOST", "INTERNAL"]),
        "host": st.one_of(st.none(), st.just("pod-1")),
        "message": TEXTS,
    },
    optional={
        "remedy": MAYBE,
        "rank": st.one_of(st.none(), st.integers(0, 1 << 17)),
        "signal": st.one_of(st.none(), st.integers(0, 64)),
        "other": JSON,
    },
)
SUMMARY = st.fixed_dictionaries({"ranks_joined": st.integers(0, 1 << 17)})
MORE = {
    "by_scheduler": st.booleans(),
    "ended": st.floats(0, 1e9),
    "error": MAYBE,
    "restarts": st.lists(JSON),
    "summary": SUMMARY,
}
RESULTS = st.fixed_dictionaries(
    {"problems": st.lists(PROBLEMS, min_size=1, max_size=3), "exit_code": st.integers(1, 255)}, optional=MORE
)


@given(RESULTS, st.one_of(st.none(), st.floats(0, 1e9)))
def test_the_last_word_of_a_failure_fits_and_is_understood(result, began):
    said = json.dumps(pod_site.verdict(result, began))
    assert len(said.encode()) <= pods.TERMINATION_BYTES

    entry = word.of_cluster({"spec": {}}, [ended(0, result["exit_code"], said)])["problems"][0]
    first = result["problems"][0]
    assert (entry["code"], entry["host"]) == (first["code"], first["host"])
    assert entry.get("rank") == first.get("rank") and entry.get("signal") == first.get("signal")


def test_the_last_word_has_as_much_of_texts_as_fits():
    result = {"problems": [{"code": "X", "host": None, "message": "a" * 700}], "exit_code": 1, "error": "\u00e9" * 700}
    first = pod_site.verdict(result, None)["first"]

    assert first["message"] == "a" * 598 and 90 < len(first["error"]) < 100


def test_a_success_is_understood():
    said = pod_site.verdict({"problems": [], "exit_code": 0, "ended": 7.0, "summary": {"ranks_joined": 4}}, 3.0)

    assert word.verdict([ended(0, 0, said)]) == said and (said["began"], said["ended"], said["joined"]) == (3.0, 7.0, 4)


FAILURES = [
    work.failed([codes.problem("NODE_NOT_READY", "pod-1", "x")]),
    {**work.failed([codes.problem("RUN_STOPPED", None, "x")]), "by_scheduler": True},
]


@pytest.mark.parametrize("result", FAILURES)
def test_a_run_that_did_not_come_to_its_start_is_understood(result):
    found = word.of_cluster({"spec": {}}, [ended(0, result["exit_code"], pod_site.verdict(result, None))])

    assert found["problems"][0]["code"] == result["problems"][0]["code"] and found["exit_code"] == result["exit_code"]


def test_an_error_of_our_own_is_a_result(capfd):
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        result = work.broken(error, "see the log")

    assert word.verdict([ended(0, result["exit_code"], pod_site.verdict(result, None))])["code"] == "INTERNAL"
    assert "ValueError" in capfd.readouterr().err
