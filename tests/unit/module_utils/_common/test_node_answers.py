# SPDX-License-Identifier: Apache-2.0
"""A node may answer anything: a malformed answer is that node's problem, and the others still count."""

import copy
import importlib
import json
import random
import re
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import node_answers, wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles, sampling, streams
from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import proof as proof_check
from ansible_collections.madctl.multinode.plugins.module_utils._runs import survey
from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table, verdict_text
from madctl.commands import ps
from madctl.housekeeping import cleaning, plays
from madctl.nodes.inventory import GROUP, Targets
from madctl.records import held_runs
from madctl.screen import top_screen
from tests import hostile
from tests.unit.module_utils import measured
from tests.unit.module_utils.odd_data import changed

PLUGINS = Path(__file__).parents[4] / "plugins"

PROVED = {"connect": [{"port": 5, "error": None}], "read": [{"value": {"n1": "n"}}], "peers": {"n1": "127.0.0.1"}}
ENDED = {"outcome": "exited", "exit_code": 0, "signal": None, "stopped": True, "reason": "stopped", "left_behind": []}
TOLD = {
    "failure": {"event": "rank_exit", "seq": 5, "rank": 3, "exit_code": 1, "signal": None, "time": 3.5, "error": "x"},
    "began": 1.5,
    "told_to_stop": None,
    "error": "OSError: x",
    "clock": 4.5,
}
TARGETS = Targets(("n1", "n2"), {"all": {"children": {GROUP: {"hosts": {"n1": {}, "n2": {}}, "vars": {}}}}}, ())
DESCRIBED = {
    "run_id": "20261129-120000-1a2b3c4d",
    "created": 1.5,
    "host": "n1",
    "node_rank": 0,
    "hosts": ["n1", "n2"],
    "work": ["a", {"base64": "/w=="}],
    "addresses": ["10.0.0.1", "10.0.0.2"],
    "plan": {
        "runner": "torchrun",
        "shape": "script",
        "master_addr": "a",
        "master_port": 5,
        "nnodes": 2,
        "world_size": 16,
    },
}
HELD = {
    "run_id": DESCRIBED["run_id"],
    "run_dir": "/r",
    "state": "exited",
    "exit": ENDED,
    "described": DESCRIBED,
    **TOLD,
}
GOOD = {
    "arm": {"container": "session", "proof": {**PROVED, "listen": None}},
    "prove": {**PROVED, "listen": None},
    "look": {
        "state": "exited",
        "exit": ENDED,
        "supervisor": 5,
        "container": "systemd",
        "storage": "/nfs",
        "processes": 0,
        "joined": 2,
        **TOLD,
    },
    "measure": {
        "state": "running",
        "measured": measured.measurement(ranks={0: 5.0}, gpus=[measured.gpu(ranks=[0])]),
        "kept": measured.sample({0: measured.load(percent=5.0)}),
    },
    "end": {"changed": True, "known": True, "left": ["5 (python)"]},
    "stop_now": {"left": []},
    "leave": {"still": None},
    "is_alive": {"alive": True},
    "survey": {"runs": [HELD, {**HELD, "exit": None, "described": None}]},
    "alive": {"alive": ["x"]},
    "clear": {"removed": [{"run_id": "x", "bytes": 5}], "programs": [{"name": "bin-1", "bytes": 5}]},
}
GOOD["clear"].update(held=["y"], stuck=[{"path": "/r/x", "reason": "Permission denied"}])


def test_every_function_that_is_called_has_a_shape():
    text = "".join(path.read_text() for path in PLUGINS.rglob("*.py"))
    called = dict(reversed(name.split(":")) for name in re.findall(r'"(_\w+\.\w+:\w+)"', text))

    assert set(called) == set(node_answers.SHAPES)
    for function, module in called.items():
        assert callable(getattr(importlib.import_module(f"{bundles.own_sources.PACKAGE}.{module}"), function))


@pytest.mark.parametrize(("function", "answer"), GOOD.items(), ids=GOOD)
def test_a_valid_answer_is_accepted(function, answer):
    assert node_answers.checked(function, answer) == answer


@pytest.mark.parametrize("routes", [[], 0, False, "", ["x"], {"eno1": []}, {"eno1": [7]}, {"eno1": "x"}, 7])
def test_an_invalid_answer_about_routes(routes):
    assert node_answers.checked("prove", {**PROVED, "routes": {"eno1": ["10.0.0.1"]}}).get("failed") is None
    assert node_answers.checked("prove", {**PROVED, "routes": routes})["failed"]
    assert node_answers.checked("arm", {"container": "session", "proof": {**PROVED, "routes": routes}})["failed"]


@pytest.mark.parametrize("run_id", ["", ".", "..", "../x", "/x", "x/y", "\x1b[2J", "x\n", "x" * 256, 5, ["x"]])
def test_a_run_s_id_can_be_the_name_of_a_directory_here(run_id):
    good = {**HELD, "run_id": "my run"}
    assert node_answers.checked("survey", {"runs": [{**HELD, "run_id": run_id}, good, None, "x"]}) == {"runs": [good]}


@pytest.mark.parametrize(
    ("function", "place"),
    [
        ("look", ["exit", "stopped"]),
        ("look", ["exit", "signal"]),
        ("look", ["exit", "outcome"]),
        ("clear", ["held"]),
        ("clear", ["stuck"]),
        ("clear", ["stuck", 0, "reason"]),
        ("clear", ["stuck", 0, "path"]),
    ],
)
def test_every_field_that_is_read_must_exist(function, place):
    answer = copy.deepcopy(GOOD[function])
    *path, last = place
    within = answer
    for key in path:
        within = within[key]
    del within[last]
    assert node_answers.checked(function, answer)["failed"]


@pytest.mark.parametrize("word", [{"base64": "$(x)"}, {"base64": "é"}, {"base64": ""}, {}, 7, None])
def test_a_word_that_cannot_be_unpacked_is_refused(word):
    odd = {**HELD, "described": {**DESCRIBED, "work": ["a", word]}}
    assert node_answers.checked("survey", {"runs": [odd, HELD]}) == {"runs": [HELD]}


def test_a_node_s_own_words_for_a_failure_are_text():
    for answer in ({"failed": True}, {"failed": 1, "msg": None}, {"failed": True, "msg": ["x"]}):
        assert isinstance(node_answers.checked("end", answer)["msg"], str)


def test_a_malformed_answer_is_that_node_s_failure():
    for text in ("[]", "{}", "{", '{"left": []}', "[" * 200_000, '{"changed": 1, "known": true, "left": []}'):
        (found,) = answered("A" + text)
        assert found["failed"] and "rc" not in found
    for news in (b"[]", b'{"listening": ["x"]}', b'{"listening": [0]}', b"{" * 100_000):
        with pytest.raises((streams.Refused, wire.WireError), match="news|JSON"):
            streams.Call(None, 1, streams.Task(":end", None, print, told=print)).hear(b"N" + news + b"\n")


def answered(*lines):
    """Return the answers of a call whose node writes these lines, and ends."""
    found = []
    call = streams.Call(None, 1, streams.Task(":end", None, found.append))
    call.hear("".join(f"{line}\n" for line in lines).encode())
    call.ended(None)
    return found


def test_a_call_answers_once_whatever_else_is_printed():
    good = 'A{"changed": true, "known": true, "left": []}'

    assert answered("junk of a login script", good, 'A{"failed": true, "msg": "x"}') == [json.loads(good[1:])]
    assert [found["msg"] for found in answered("junk")] == ["it ended without an answer"]


@pytest.mark.fuzz
def test_answers_of_one_node_break_nothing(rounds):
    from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run

    source = random.Random(6)
    wanted = {
        "read": [{"path": "/nfs", "names": {"n1": "f"}}],
        "written": [{"path": "/nfs", "nonce": "n"}],
        "connect": {"source": "a", "address": "b"},
    }
    proof = {"n1": {**wanted, "listen": {"ports": [5], "address": "b"}}, "n2": wanted}
    for _ in range(rounds):
        function = source.choice(list(GOOD))
        found = node_answers.checked(function, changed(GOOD[function], source))
        if found.get("failed"):
            assert isinstance(found["msg"], str)
        elif function == "look":
            status_table.lines([{"host": "n2", **found}])
            plan = {**DESCRIBED["plan"], "run_id": "r", "nodes": [{"host": "n2", "node_rank": 1}]}
            found = dict(found, clock_offset=0.0)
            verdict_text.whole(verdict.shown(verdict.of_nodes(plan, {"n2": found}), 1.0, 2.0))
        elif function == "measure":
            node = sampling.Node(found["state"], found["kept"])
            top_screen.lines("run r", {"n2": node}, {}, 5.0, (80, 24))
            json.dumps(top_screen.data({"n2": node}, {}), allow_nan=False)
        elif function == "clear":
            cleaned = cleaning.Cleaning([], 7.0, None, True)
            cleaned._take(plays.split(TARGETS)[1], "n2", found)
            cleaned.lines([], [])
        elif function == "prove":
            json.dumps(proof_check.judge(proof, {"n1": {**GOOD["prove"]}, "n2": found}))
        elif function == "survey" and found["runs"]:
            for one in held_runs.held({"n2": found}, TARGETS):
                one.record(TARGETS)
                status_table.of_runs([ps._shown(one, None)])
            held = {"n2": {run["run_id"]: run for run in found["runs"]}}
            run_id = find_run._choose(held, "", alive=False)
            find_run._plan(run_id, {"n2": held["n2"][run_id]}, {}, is_named=False)
            assert "/" not in run_id and not run_id.startswith(".")
        else:
            json.dumps(found)


@pytest.mark.fuzz
def test_no_description_of_a_run_breaks_the_survey(rounds, tmp_path):
    sample = json.dumps({**DESCRIBED, "more": 1}).encode()
    for number, data in enumerate(hostile.mutated([sample, json.dumps(ENDED).encode()], rounds)):
        (tmp_path / ("run.json", "exit.json")[number % 2]).write_bytes(data)
        found = {"run_id": DESCRIBED["run_id"], "run_dir": "/r", "state": "exited", "exit": survey._exit(str(tmp_path))}
        found["described"] = survey.description(str(tmp_path), DESCRIBED["run_id"])
        assert "runs" in node_answers.checked("survey", {"runs": [json.loads(json.dumps(found))]})


def test_a_parser_of_objects_refuses_everything_else():
    for text in ("", "1", "null", '"x"', "[" * 100_000, "\ud800", b"\xff"):
        with pytest.raises(wire.WireError):
            wire.parse(text)


def test_arming_reports_that_the_run_was_stopped():
    refused = {"failed": True, "stopped": True, "msg": "the run was stopped"}

    assert node_answers.checked("arm", dict(refused)) == refused
    assert node_answers.checked("arm", {**refused, "stopped": "yes"}) == {"failed": True, "msg": "the run was stopped"}
