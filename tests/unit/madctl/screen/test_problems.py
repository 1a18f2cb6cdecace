# SPDX-License-Identifier: Apache-2.0
"""The answer of a command that only asks nodes."""

import json
import types

import pytest

from madctl.errors import Problem
from madctl.screen.problems import print_answer

CODES = {
    0: [],
    2: ["DEST_IN_USE", "NODE_SILENT"],
    4: ["NODE_SILENT", "RUN_UNKNOWN"],
    9: ["STOP_UNVERIFIED"],
}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("output", ["text", "json"])
def test_an_answer_has_one_exit_code_whatever_prints_it(code, output, capsys):
    options = types.SimpleNamespace(command="stop", output=output)
    problems = [Problem(name, "no answer", "n1") for name in CODES[code]]
    ended = print_answer(options, "r", {"a": 1}, ["line 1", "line 2"], problems, [Problem("X", "careful")], "stopped")
    said = capsys.readouterr()

    assert ended == code
    assert said.err.splitlines() == [
        "notice: careful [X]",
        *(f"madctl: n1: no answer [{name}]" for name in CODES[code]),
    ]
    if output == "text":
        assert said.out == "line 1\nline 2\n"
    else:
        found = json.loads(said.out)
        assert (found["status"], found["exit_code"]) == ("failed" if problems else "stopped", code)
        assert (found["command"], found["run_id"], found["data"]) == ("stop", "r", {"a": 1})
        assert [entry["code"] for entry in found["errors"]] == CODES[code]
