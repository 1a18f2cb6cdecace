# SPDX-License-Identifier: Apache-2.0
"""What nodes answer: believed as it is, or not at all."""

import json

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils import _answers, _attic, _runs, _standing
from madctl.commands.status import how_it_ended
from tests import hostile

RUN = "20261101-120000-aaaaaaaa"
PLAN = {"runner": "torchrun", "shape": "script", "master_addr": "a", "master_port": 1, "nnodes": 1, "world_size": 2}
DESCRIBED = {
    "run_id": RUN,
    "created": 1.0,
    "host": "a",
    "node_rank": 0,
    "hosts": ["a"],
    "work": ["x"],
    "plan": PLAN,
    "addresses": None,
}
EXIT = {"outcome": "exited", "exit_code": 0, "signal": None, "stopped": False}
GOOD = {
    "look": {
        "state": "exited",
        "exit": EXIT,
        "supervisor": None,
        "container": None,
        "storage": "/s",
        "processes": 0,
        "joined": 1,
    },
    "survey": {"runs": [{"run_id": RUN, "run_dir": "/r", "state": "exited", "exit": EXIT, "described": DESCRIBED}]},
    "end": {"changed": True, "known": True, "left": ["process 1"]},
    "alive": {"alive": [RUN]},
    "clear": {
        "removed": [{"run_id": RUN, "bytes": 1}],
        "programs": [{"name": "bin-1", "bytes": 1}],
        "held": [RUN],
        "stuck": [{"path": "/x", "reason": "y"}],
    },
}


@pytest.mark.parametrize("function", GOOD)
def test_a_good_answer_is_believed(function):
    assert _answers.believed(function, GOOD[function]) == GOOD[function]


def test_what_our_programs_answer_is_believed(tmp_path):
    answer = _runs.look({"run_id": RUN, "run_dir": str(tmp_path / RUN)})
    assert _answers.believed("look", answer) is answer
    answer = _attic.survey({"run_dir": str(tmp_path)})
    assert _answers.believed("survey", answer) is answer
    answer = _runs.end({"run_id": RUN, "base": str(tmp_path), "grace": 0.0, "dry_run": True})
    assert _answers.believed("end", answer) is answer
    answer = _attic.alive({"run_dir": str(tmp_path)})
    assert _answers.believed("alive", answer) is answer


@pytest.mark.parametrize(
    "answer", [None, [], "x", 3, {}, {"msg": None}, {"state": []}, {"left": 0}, {"runs": 3}, {"alive": None}]
)
@pytest.mark.parametrize("function", GOOD)
def test_what_is_no_answer_is_a_reason(function, answer):
    assert _answers.believed(function, answer) == {"failed": True, "msg": "its answer cannot be meant"}


@pytest.mark.parametrize("function", GOOD)
def test_a_reason_is_passed_on(function):
    assert _answers.believed(function, {"failed": True, "rc": 1, "msg": "gone"})["msg"] == "gone"


@pytest.mark.fuzz
@pytest.mark.parametrize("function", GOOD)
def test_a_mutated_answer_harms_nobody(function, rounds):
    believed = 0
    for data in hostile.mutated([json.dumps(GOOD[function]).encode()], rounds // 5):
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            continue
        found = _answers.believed(function, answer)
        believed += "msg" not in found
        if function == "look" and "msg" not in found:
            assert _standing.rows([{**found, "host": "a"}]) and _standing.alone([found])
            how_it_ended([found], 1)
    assert believed
