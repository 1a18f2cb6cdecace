# SPDX-License-Identifier: Apache-2.0
"""What later versions keep is kept, and the schema of the output is one, and complete."""

import json
import re

import jsonschema
import pytest

from docs.generators import command_line, promises
from madctl.errors import ExitCode, Problem
from madctl.result import Result, to_json
from tests import output_schema

PROBLEM = Problem("RANK_FAILED", "rank 3 failed: exit code 1", "gpu02", "see madctl logs --rank 3", 3, 1)
PARTS = output_schema.SCHEMA["$defs"]


def test_nothing_that_is_promised_is_gone():
    gone = set(promises.written()) - promises.kept()

    assert not gone, (
        "users rely on these; to break them on purpose, remove their lines from docs/reference/promises.txt"
    )


def test_a_promise_that_is_broken_stays_in_the_list(monkeypatch):
    before = set(promises.written())
    monkeypatch.setattr(promises, "_plugins", lambda: iter(["playbook madctl.multinode.other"]))

    assert {"playbook madctl.multinode.other", "playbook madctl.multinode.launch"} <= set(promises.text().splitlines())
    assert before - promises.kept() >= {"playbook madctl.multinode.launch"}


def test_the_schema_is_one_and_has_no_part_that_nothing_refers_to():
    jsonschema.Draft202012Validator.check_schema(output_schema.SCHEMA)
    whole = json.dumps(output_schema.SCHEMA)

    assert {name for name in PARTS if f'"#/$defs/{name}"' not in whole} == {"log_line"}


def test_every_command_that_prints_json_has_its_data_in_the_schema():
    printing = {
        command.name.split()[1]
        for command in command_line.commands()
        for group in command.groups
        for option in group.options
        if "text|json" in option.spelling.replace("text|jsonl", "")
    }
    described = {rule["if"]["properties"]["command"]["const"] for rule in PARTS["result"]["allOf"]}

    # What is launched again is told as a launch.
    assert described == printing - {"rerun"}


def test_what_is_written_of_an_error_is_as_promised():
    result = Result("launch", "failed", ExitCode.JOB_FAILED, "20261129-102500-ab12cd34", None, [PROBLEM], [PROBLEM])

    assert output_schema.mistakes(json.loads(to_json(result))) == []


def done(**changed):
    """Return a result of ``madctl config --init``, with changes."""
    return {**json.loads(to_json(Result("config", "succeeded", 0, None, {"path": "/work/madctl.toml"}))), **changed}


@pytest.mark.parametrize(
    ("result", "place"),
    [
        (done(), None),
        (done(data=None), None),
        (done(schema=2), "$.schema"),
        (done(exit_code="0"), "$.exit_code"),
        (done(status="done"), "$.status"),
        (done(more=1), "$"),
        (done(data={}), "$.data"),
        (done(data={"path": 1}), "$.data.path"),
        (done(data={"path": "/madctl.toml", "more": 1}), "$.data"),
        (done(errors=[{"code": "USAGE"}]), "$.errors[0]"),
        ({key: value for key, value in done().items() if key != "warnings"}, "$"),
    ],
)
def test_a_result_that_differs_from_its_schema_is_seen(result, place):
    found = [mistake.partition(": ")[0] for mistake in output_schema.mistakes(result)]

    assert found[:1] == ([place] if place else [])


def test_a_line_of_a_log_that_differs_from_its_schema_is_seen():
    line = {"time": None, "host": "gpu01", "rank": 0, "stream": "stdout", "text": "epoch 1"}

    assert output_schema.mistakes_in_line(line) == []
    assert output_schema.mistakes_in_line({**line, "rank": "0"})
    assert output_schema.mistakes_in_line({**line, "more": 1})


def test_programs_of_users_may_meet_more_properties_than_they_know():
    lenient = jsonschema.Draft202012Validator(output_schema.SCHEMA)

    assert lenient.is_valid(done(more=1, data={"path": "/work/madctl.toml", "more": 1}))
    assert not lenient.is_valid(done(schema=2))


def test_the_examples_of_promises_are_promised():
    page = promises.LIST.with_name("compatibility.md").read_text()
    examples = [
        line for row in re.findall(r"^\| .* \| (`.*`) \|$", page, re.M) for line in re.findall(r"`([^`]+)`", row)
    ]

    assert len(examples) > 9
    assert set(examples) <= set(promises.written())
