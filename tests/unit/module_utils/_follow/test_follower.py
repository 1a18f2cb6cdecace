# SPDX-License-Identifier: Apache-2.0
"""Orders of a follower."""

import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, wire
from ansible_collections.madctl.multinode.plugins.module_utils._follow import run_outcome
from tests.unit.module_utils.channels import Followed
from tests.unit.module_utils.ways import WAYS

REASON = codes.problem("INTERRUPTED", None, "interrupted")


@pytest.fixture
def followed():
    """A follower of one node, and the node's end."""
    plan = {"run_id": "r", "shape": "script", "world_size": 1}
    node = {"host": "a", "node_rank": 0, "run_dir": "/r", "clock_offset": 0.0}
    made = Followed({**plan, "nodes": [node]})
    with made.connect("a") as theirs:
        yield made.follower, theirs


def test_interrupts_stop_and_kill_and_let_go(followed):
    follower, node = followed
    seen = []
    for _ in range(3):
        follower.orders.interrupt(REASON)
        seen.append((b"" if follower.orders.detached else node.recv(9), follower.orders.detached))

    assert seen == [(wire.STOP, False), (wire.KILL, False), (b"", True)]


def test_whoever_only_reads_leaves_at_the_first():
    follower = Followed({"run_id": "r", "shape": "script", "world_size": 0, "nodes": []}, read_only=True).follower
    follower.orders.interrupt(REASON)

    assert (follower.orders.detached, follower.orders.interrupted) == (True, None)


def test_the_first_failure_is_found_also_where_the_probe_s_answer_came_late():
    nodes = [
        {"host": "a", "node_rank": 0, "run_dir": "/r", "clock_offset": -0.4},  # It seems 0.4 s behind, and is not.
        {"host": "b", "node_rank": 1, "run_dir": "/r", "clock_offset": 0.0},
    ]
    follower = Followed({"run_id": "r", "shape": "script", "world_size": 2, "nodes": nodes}).follower
    now = time.time()
    for run, at in zip(follower.runs, (now - 0.2, now)):
        follower._event(run, {"event": "started", "time": time.time(), "seq": 1}, b"")
        exits = {"event": "rank_exit", "time": at, "seq": 2, "rank": run.node_rank, "exit_code": 1, "signal": None}
        follower._event(run, exits, b"")

    problems, _ = run_outcome.judge(follower.runs, follower.plan, None)
    assert [entry["host"] for entry in problems] == ["a"]


def test_output_is_dated_by_our_clock():
    node = {"host": "a", "node_rank": 0, "run_dir": "/r", "clock_offset": 100.0}
    told = []
    plan = {"run_id": "r", "shape": "script", "world_size": 1, "nodes": [node]}
    followed = Followed(plan, lambda event, _: told.append(event))
    [run] = followed.follower.runs
    header = {"event": "log", "log": "rank-0.out", "offset": 0}
    followed.follower._event(run, {**header, "time": 1100.5}, b"one\n")
    followed.follower._event(run, {**header, "offset": 4}, b"two\n")

    assert [event.get("time") for event in told] == [1000.5, None]


RECORD = {"event": "exit", "seq": 9, "exit_code": None, "signal": None, "stopped": True, "reason": "stopped"}


def ended(follower, **more):
    follower._event(follower.runs[0], {**RECORD, "outcome": "exited", **more}, b"")
    problems, _ = run_outcome.judge(follower.runs, {**follower.plan, "shape": "command"}, follower.orders.interrupted)
    return [(entry["code"], entry["message"]) for entry in problems], codes.exit_code(problems)


def test_a_run_that_was_stopped_while_it_was_armed_is_called_stopped(followed):
    follower, _ = followed

    assert ended(follower, outcome="disarmed") == ([("RUN_STOPPED", "the run was stopped before it started")], 130)


def test_a_run_that_was_stopped_before_it_was_armed_is_called_stopped_and_no_node_starts(followed):
    follower, node = followed
    follower.halted("a")

    assert follower.wait_ready(0.1) is False
    assert node.recv(9) == wire.STOP
    problems, _ = run_outcome.judge(follower.runs, {**follower.plan, "shape": "command"}, follower.orders.interrupted)
    assert [(entry["code"], entry["message"]) for entry in problems] == [
        ("RUN_STOPPED", "the run was stopped before it started")
    ]


def test_a_supervisor_that_broke_is_no_success(followed):
    follower, _ = followed
    told, code = ended(follower, reason="broken", trouble="ValueError: x")

    assert (told, code) == ([("SUPERVISOR_LOST", "its supervisor failed and ended the job: ValueError: x")], 7)


def test_a_node_that_is_lost_was_last_heard_before_its_way_ended(followed):
    follower, node = followed
    (run,) = follower.runs
    run.ready, follower.orders.has_gone = True, True
    before = time.time()
    run.suspected_at = time.monotonic() - 50
    follower.suspects.judge(run)
    heard = run.failed_at + 50 + WAYS["a"].silence_seconds

    assert run.failure["remedy"] == "check that it is up: walk to a"
    assert before - 1 < heard < time.time() + 1
    assert node.recv(9) == wire.STOP


def test_output_is_bytes_and_not_lines(followed):
    follower, _ = followed
    follower._spoke_at = 0.0
    follower._event(follower.runs[0], {"event": "log", "log": "rank-0.out", "offset": 0}, b"\r 5%")

    assert follower._spoke_at > 0.0
