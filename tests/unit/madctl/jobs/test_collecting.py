# SPDX-License-Identifier: Apache-2.0
"""What is collected of a run in a job, from stories that nobody checked."""

import gzip
import json

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Refused
from madctl.jobs import collecting

MOST = 1000


@pytest.fixture
def place(tmp_path):
    (tmp_path / "job/nodes").mkdir(parents=True)
    return tmp_path / "job"


def planned(*hosts, kind="planned", run_id="r1"):
    return {"event": kind, "plan": {"run_id": run_id, "nodes": [{"host": name, "run_dir": "/d"} for name in hosts]}}


def log(host, text, name="runner.out"):
    return {"event": "log", "host": host, "log": name}, text.encode()


def story(place, *events):
    frames = [event if isinstance(event, tuple) else (event, b"") for event in events]
    (place / "story").write_bytes(b"".join(wire.encode(*frame) for frame in frames))


def collected(place, most=MOST):
    return collecting.collect(place, "r1", place.parent / "here", most)


def read(place, name):
    return (place.parent / "here" / name).read_text()


def test_names_of_a_story_lead_nowhere_else(place):
    story(place, planned("a", "..", "x/y"), log("..", "no"), log("a", "no", "../../x"), log("b", "no"), log("a", "yes"))
    found = collected(place)

    assert list(found.nodes) == ["a"] and read(place, "a/logs/runner.out") == "yes"
    assert sorted(path.name for path in (place.parent / "here").iterdir()) == ["a"]
    assert [notice.code for notice in found.notices] == ["FILES_LEFT_OUT"]


def test_logs_are_those_of_the_last_attempt_on_its_nodes(place):
    again = planned("a", "c", kind="restart", run_id="r1.1")
    story(place, planned("a", "b"), log("a", "1"), log("b", "1"), again, log("a", "2"), log("a", "3"))
    found = collected(place)

    assert list(found.nodes) == ["a", "c"] and read(place, "a/logs/runner.out") == "23"
    assert json.loads(read(place, "c/run.json"))["run_id"] == "r1.1"
    assert collected(place).problems == [], "an earlier collection of the same run is replaced"


def test_a_log_that_a_node_kept_is_more_than_a_story_with_gaps(place):
    header = [{"directory": "logs"}, {"file": "logs/runner.out", "time": 1.0}]
    frames = [*map(wire.encode, header), wire.encode({}, b"newest"), wire.encode({"end": True})]
    (place / "nodes/a.pack").write_bytes(gzip.compress(b"".join(frames)))
    story(place, planned("a"), log("a", "oldest"), log("a", "e", "runner.err"))
    found = collected(place)

    assert (read(place, "a/logs/runner.out"), read(place, "a/logs/runner.err")) == ("newest", "e")
    assert found.notices == []


def test_a_node_has_no_more_than_it_may(place):
    story(place, planned("a"), log("a", "x" * (MOST + 1)))
    with pytest.raises(Refused, match="a: it has more than 1000 bytes of logs"):
        collected(place)
    assert not list(place.parent.glob("here/*"))


def test_a_pack_that_is_none_is_refused_and_leaves_nothing(place):
    (place / "nodes/a.pack").write_bytes(b"no")
    story(place, planned("a", "b"), log("a", "x"))
    found = collected(place)

    assert list(found.nodes) == ["b"] and [(entry.code, entry.host) for entry in found.problems] == [
        ("NODE_SILENT", "a")
    ]
    assert [path.name for path in (place.parent / "here").iterdir()] == ["b"]


def test_what_another_run_left_is_not_replaced(place):
    (place.parent / "here/a").mkdir(parents=True)
    (place.parent / "here/a/run.json").write_text('{"run_id": "other"}')
    story(place, planned("a"), log("a", "x"))
    found = collected(place)

    assert ([entry.code for entry in found.problems], found.nodes) == (["DEST_IN_USE"], {})
    assert [path.name for path in (place.parent / "here").iterdir()] == ["a"]
