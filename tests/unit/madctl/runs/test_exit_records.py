# SPDX-License-Identifier: Apache-2.0
"""How a run ended, from what its nodes keep."""

import pytest

from madctl.runs.exit_records import exit_code, how_it_ended

SCRIPT = {"shape": "script", "world_size": 4}
COMMAND = {"shape": "command", "world_size": 0}


def node(code=0, stopped=False, **more):
    record = {"outcome": "exited", "exit_code": code, "signal": None, "stopped": stopped, "reason": None}
    record.update({"ranks_joined": 2, "apart": [], "left_behind": [], "trouble": None, **more})
    return {"exit": {key: value for key, value in record.items() if value != "not said"}}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node(), node()], "succeeded"),
        ([node(), node(1)], "failed"),
        ([node(), node(None)], "failed"),
        ([node(1, True), node(None, True)], "stopped"),
        ([node(), node(0, True, reason="timed_out")], "failed"),
        ([node(), {"exit": None}], None),
        ([node()], None),
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
    assert how_it_ended(silent, 2, SCRIPT) == "unknown" and exit_code("unknown") is None
    assert how_it_ended([node(1), silent[1]], 2, SCRIPT) == "failed"
