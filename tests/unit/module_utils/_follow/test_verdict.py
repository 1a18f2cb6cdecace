# SPDX-License-Identifier: Apache-2.0
"""The state of a run, or how it ended, from what its nodes keep."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict

SCRIPT = {"run_id": "r", "shape": "script", "world_size": 4}
COMMAND = {"run_id": "r", "shape": "command", "world_size": 0}


def node(code=0, stopped=False, at=100.0, **more):
    record = {"outcome": "exited", "exit_code": code, "signal": None, "stopped": stopped, "reason": None, "time": at}
    record.update({"ranks_joined": 2, "apart": [], "left_behind": [], "trouble": None})
    record.update({key: value for key, value in more.items() if key not in OTHER})
    other = {key: value for key, value in more.items() if key in OTHER}
    return {
        "run_id": "r",
        "state": "exited",
        "exit": {k: value for k, value in record.items() if value != "not said"},
        **other,
    }


OTHER = ("failure", "began", "told_to_stop", "error", "clock_offset")
LEFT = {"state": "unknown", "exit": None}


def judged(nodes, plan=SCRIPT, **offsets):
    hosts = ["n1", "n2"]
    known = [{"host": host, "node_rank": at, "clock_offset": offsets.get(host)} for at, host in enumerate(hosts)]
    return verdict.of_nodes({**plan, "nodes": known}, dict(zip(hosts, nodes, strict=False)))


def rank_exit(rank, at, code=1, **more):
    return {"event": "rank_exit", "seq": 1, "rank": rank, "time": at, "exit_code": code, "signal": None, **more}


def how_it_ended(nodes, _, plan):
    return judged(nodes, plan).status


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node(), node()], "succeeded"),
        ([node(), node(1)], "failed"),
        ([node(), node(None)], "failed"),
        ([node(1, True), node(None, True)], "stopped"),
        ([node(), node(0, True, reason="timed_out")], "failed"),
        ([node(), {"state": "running", "exit": None}], "running"),
        ([node(), {"state": "lost", "exit": None}], "failed"),
        ([node(), {"state": "rebooted", "exit": None}], "failed"),
        ([node(), LEFT], "unknown"),
        ([node()], "unknown"),
        ([node(1)], "failed"),
        ([], "unknown"),
    ],
)
@pytest.mark.parametrize("plan", [SCRIPT, COMMAND])
def test_how_it_ended(nodes, expected, plan):
    assert how_it_ended(nodes, 2, plan) == expected


@pytest.mark.parametrize(
    "odd",
    [
        {"left_behind": ["5 (python)"]},
        {"trouble": "Traceback"},
        {"outcome": "disarmed"},
        {"outcome": "unknown"},
        {"signal": 9},
    ],
)
@pytest.mark.parametrize("plan", [SCRIPT, COMMAND])
def test_exit_code_0_alone_is_no_success(odd, plan):
    assert how_it_ended([node(), node(**odd)], 2, plan) == "failed"


@pytest.mark.parametrize("odd", [{"ranks_joined": 1}, {"ranks_joined": 0}])
def test_a_script_whose_ranks_are_missing_is_no_success(odd):
    assert how_it_ended([node(), node(**odd)], 2, SCRIPT) == "failed"
    assert how_it_ended([node(), node(**odd)], 2, COMMAND) == "succeeded"


def test_a_script_of_ranks_that_all_lead_worlds_of_their_own_is_no_success():
    apart = [node(apart=[0, 1]), node(apart=[2, 3])]
    assert how_it_ended(apart, 2, SCRIPT) == "failed"
    assert how_it_ended([apart[0], node(apart=[2])], 2, SCRIPT) == "succeeded"


@pytest.mark.parametrize("key", ["left_behind", "trouble", "ranks_joined", "apart"])
def test_what_a_node_does_not_say_is_not_known(key):
    silent = [node(), node(**{key: "not said"})]
    assert how_it_ended(silent, 2, SCRIPT) == "unknown" and judged(silent).exit_code is None
    assert how_it_ended([node(1), silent[1]], 2, SCRIPT) == "failed"


# -- the cause -------------------------------------------------------------------------------------------


def test_who_failed_first_is_found_by_corrected_times():
    """The clock of the second node is 50 s ahead."""
    nodes = [node(1, failure=rank_exit(0, 100.0)), node(1, failure=rank_exit(2, 149.0, error="a\nOSError: full\n"))]
    found = judged(nodes, n1=0.0, n2=50.0)
    by_answer = judged([nodes[0], {**nodes[1], "clock_offset": 50.0}])

    assert (found.status, found.cause, found.error) == ("failed", "n2 rank 2: exit code 1", "OSError: full")
    assert (found.host, found.rank, found.exit_code) == ("n2", 2, 6)
    assert by_answer.cause == found.cause
    assert judged(nodes).cause == "n1 rank 0: exit code 1"


@pytest.mark.parametrize(("seen", "rank"), [(None, 0), ("", 0), ("n2 rank 2: exit code 1: ValueError", 2), ("n9", 0)])
def test_what_a_follower_saw_first_decides_where_clocks_are_too_coarse(seen, rank):
    early = node(1, True, failure=rank_exit(0, at=90.000, error="RuntimeError: connection closed"))
    late = node(1, True, failure=rank_exit(2, at=90.001, error="ValueError"))
    plan = {**SCRIPT, "nodes": [{"host": "n1", "node_rank": 0}, {"host": "n2", "node_rank": 1}]}

    assert verdict.of_nodes(plan, {"n1": early, "n2": late}, seen).rank == rank


def test_what_a_log_says_is_the_error_where_the_rank_left_none():
    assert judged([node(1, failure=rank_exit(0, 1.0), error="KeyError: 'x'"), node()]).error == "KeyError: 'x'"


@pytest.mark.parametrize(
    ("nodes", "cause"),
    [
        ([node(), node(3)], "n2: torchrun failed: exit code 3"),
        ([node(), node(0, True, reason="timed_out")], "it did not end in time"),
        ([node(), node(left_behind=["5 (python)"])], "n2: left behind: 5 (python)"),
        ([node(), node(ranks_joined=1)], "3 of 4 ranks joined"),
        ([node(apart=[0, 1]), node(apart=[2, 3])], "every rank made a world of its own"),
        ([node(), {"state": "lost", "exit": None}], "n2: its supervisor was killed"),
        ([node(), {"state": "rebooted", "exit": None}], "n2: it rebooted"),
        ([node()], "no answer from n2"),
        ([node(), LEFT], "nothing is left of it on n2"),
    ],
)
def test_every_end_but_success_has_a_cause(nodes, cause):
    assert judged(nodes).cause == cause


def test_a_failure_before_the_stop_of_the_others_is_a_failure_and_one_after_it_is_a_stop():
    failed = node(1, failure=rank_exit(0, 10.0))

    assert judged([failed, node(None, True, told_to_stop=11.0)]).status == "failed"
    stopped = judged([failed, node(None, True, told_to_stop=9.0)])
    assert (stopped.status, stopped.cause, stopped.exit_code) == ("stopped", None, 130)


def test_a_run_that_goes_on_although_a_part_of_it_failed_says_so():
    found = judged([node(1, failure=rank_exit(0, 10.0)), {"state": "running", "exit": None, "joined": 2}])

    assert (found.status, found.cause, found.joined) == ("running", "n1 rank 0: exit code 1", 4)


def test_the_times_are_those_of_the_run():
    found = judged([node(began=10.0, at=20.0), node(began=61.0, at=75.0)], n1=0.0, n2=50.0)

    assert (found.status, found.began, found.ended) == ("succeeded", 10.0, 25.0)


def test_a_run_that_only_nodes_know_may_be_asked_by_other_names():
    said = {"hosts": ["a", "b"], "plan": {**SCRIPT, "runner": "torchrun"}}
    parts = {
        "b.example": {**node(1, failure=rank_exit(2, 5.0)), "described": {**said, "node_rank": 1}},
        "a.example": {**node(), "described": {**said, "node_rank": 0}},
    }

    assert verdict.of_parts(parts).cause == "b.example rank 2: exit code 1"
    assert verdict.of_parts({"b.example": {**node(), "described": None}}).status == "unknown"
    assert verdict.of_parts({"b.example": {**node(1), "described": None}}).status == "failed"
    assert (
        verdict.of_parts({"a.example": {**node(), "described": {**said, "node_rank": 0}}}).cause == "no answer from b"
    )
