# SPDX-License-Identifier: Apache-2.0
"""Who failed first, by clocks that differ, and who only lost a peer."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._follow import node_run, run_outcome
from tests.unit.module_utils.channels import Followed

EXIT = {"event": "exit", "outcome": "exited", "signal": None, "ranks_joined": 1, "left_behind": []}


def plan(offsets):
    nodes = [
        {"host": f"node{rank + 1}", "node_rank": rank, "run_dir": "/r", "clock_offset": offset}
        for rank, offset in enumerate(offsets)
    ]
    return {"run_id": "r", "shape": "script", "world_size": len(nodes), "nodes": nodes}


def follow(offsets, frames, **more):
    """Let a follower read these frames, by node, in the order of the nodes; give the problems and the summary."""
    told = []
    followed = Followed(plan(offsets), lambda event, _: told.append(event), **more)
    follower = followed.follower
    ends = {node["host"]: followed.connect(node["host"]) for node in follower.plan["nodes"]}
    for (host, end), own in zip(ends.items(), frames, strict=True):
        followed.send(host, end, b"".join(wire.encode(frame) for frame in own))
    for end in ends.values():
        end.close()
    follower.follow()
    return (*run_outcome.judge(follower.runs, follower.plan, follower.orders.interrupted), told)


def node(number, at, code=1, boot="b"):
    """Write what a node sends whose only rank ends with a code at a time of its own clock."""
    rank_exit = {"event": "rank_exit", "rank": number, "exit_code": code, "signal": None, "time": at, "seq": 3}
    return [
        {"event": "ready", "boot_id": boot},
        {"event": "started", "seq": 1},
        {"event": "joined", "rank": number, "seq": 2},
        {**rank_exit, "stopping": False},
        {**EXIT, "exit_code": code, "stopped": False, "seq": 4},
    ]


def test_the_first_failure_is_the_first_in_time_and_not_the_first_that_is_heard_of():
    # node1's clock is 100 s ahead: its failure at 1005 was at 905, after node2's at 901.
    problems, summary, _ = follow([100.0, 0.0, 0.0], [node(0, 1005.0), node(1, 901.0, 9), node(2, 907.0)])

    assert [(entry["code"], entry["host"], entry["rank"], entry["exit_code"]) for entry in problems] == [
        ("RANK_FAILED", "node2", 1, 9)
    ]
    assert summary["victims"] == {"node1": 1, "node3": 1}


def test_without_an_offset_the_order_would_be_another():
    problems, _, _ = follow([0.0, 0.0], [node(0, 1005.0), node(1, 901.0)])

    assert problems[0]["host"] == "node2"


def test_what_was_told_to_stop_is_no_victim():
    stopped = node(1, 950.0, 1)
    stopped[3]["stopping"] = True
    stopped[4].update(stopped=True, reason="stopped")
    problems, summary, _ = follow([0.0, 0.0], [node(0, 901.0), stopped])

    assert ([entry["host"] for entry in problems], summary["victims"]) == (["node1"], {})


def test_an_event_that_comes_twice_counts_once():
    twice = node(0, 901.0, 0)
    problems, summary, told = follow([0.0], [[*twice[:4], *twice]])

    assert (problems, summary["ranks_joined"]) == ([], 1)
    assert [event["event"] for event in told] == ["ready", "started", "joined", "rank_exit", "exit"]


def test_another_start_of_the_machine_is_a_loss():
    frames = [*node(0, 901.0, 0)[:3], {"event": "ready", "boot_id": "other"}]
    problems, _, told = follow([0.0], [frames])

    assert [entry["code"] for entry in problems] == ["NODE_REBOOTED"]
    assert told[-1]["event"] in ("lost", "stopping")


def test_pieces_of_a_log_that_overlap_are_shown_once():
    run = node_run.NodeRun("node1", 0)
    pieces = [(0, b"abcd"), (2, b"cdef"), (0, b"abc"), (6, b"gh")]

    assert [run.fresh({"log": "l", "offset": at}, data) for at, data in pieces] == [b"abcd", b"ef", b"", b"gh"]
    assert run.offsets == {"l": 8}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        # What ended for a reason of its own, beside what ends because of it, perhaps dated a little before.
        (("runner_exit", None, 9), ("rank_exit", None, 9)),
        (("runner_exit", None, 9), ("runner_exit", 5, None)),
        (("rank_exit", 7, None), ("rank_exit", None, 15)),
        (("rank_exit", None, 11), ("runner_exit", 139, None)),
    ],
)
def test_causes_come_before_consequences_under_mpirun(earlier, later):
    cause, consequence = ({"event": e, "exit_code": code, "signal": number} for e, code, number in (earlier, later))

    assert run_outcome.lag({"runner": "mpirun"}, cause) < run_outcome.lag({"runner": "mpirun"}, consequence)
    assert run_outcome.lag({"runner": "torchrun"}, consequence) == 0.0


def test_the_remedy_shows_the_output_of_the_rank():
    problems, _, _ = follow([0.0, 0.0], [node(0, 1.0, 0), node(1, 2.0, 9)])

    assert problems[0]["remedy"] == "see madctl logs r --rank 1"


def test_nobody_lost_a_peer_where_nobody_joined():
    apart = [[frame for frame in node(number, 1.0 + number) if frame["event"] != "joined"] for number in (0, 1)]
    for frames in apart:
        frames[-1]["ranks_joined"] = 0
    problems, summary, _ = follow([0.0, 0.0], apart)

    assert [entry["code"] for entry in problems] == ["RANK_FAILED"]
    assert (summary["ranks_joined"], summary["victims"]) == (0, {})


def test_the_remedy_names_a_run_that_was_started_again_by_its_first_id():
    again = {"run_id": "20260102-030405-abcdef01.1"}

    assert run_outcome.logs_of(again, "node2") == "see madctl logs 20260102-030405-abcdef01 --host node2"
