# SPDX-License-Identifier: Apache-2.0
"""What the functions of the Python interface return, and how notebooks show it."""

import copy
import pickle

import pytest

from madctl import result as commands
from madctl.api import html, results
from madctl.api.results import Check, Line, Result, Status
from madctl.api.run import Run
from madctl.errors import ExitCode, KeywordError, Problem, RunError, UsageError

HOSTILE = "<script>alert('x')</script>&\"\x1b[2J\u202e\n"
PROBLEM = Problem("RANK_FAILED", f"rank 1 failed: {HOSTILE}", "gpu01", rank=1)
FAILED = Result("20261129-1", "failed", 6, HOSTILE, (PROBLEM, PROBLEM), data={"duration_seconds": 43.2})
SHOWN = {
    "result": FAILED,
    "status": Status(
        "20261129-1",
        HOSTILE,
        "running",
        None,
        HOSTILE,
        3.0,
        ("gpu01",),
        ({"host": HOSTILE, "state": HOSTILE},),
        (PROBLEM,),
    ),
    "check": Check(3, (PROBLEM,), nodes=({"host": HOSTILE, "checks": {HOSTILE: HOSTILE}},)),
    "run": Run("20261129-1", HOSTILE),
}


@pytest.mark.parametrize("name", SHOWN)
def test_nothing_that_a_node_or_a_job_says_is_markup(name):
    shown = SHOWN[name]._repr_html_()

    assert "&lt;script&gt;" in shown and shown.startswith("<table>") and shown.endswith("</table>")
    assert not any(text in shown for text in ("<script", "'x'", '"\\x1b', "\x1b", "\u202e", "\n"))
    assert len(repr(SHOWN[name]).splitlines()) == 1


def test_a_table_of_thousands_of_nodes_is_cut():
    shown = html.table(("node",), [(f"n{number}",) for number in range(1000)])

    assert shown.count("<tr>") == 66 and "936 more" in shown and "n999" not in shown


def test_a_result_of_a_command_becomes_one_of_a_run():
    found = results.of_run(commands.Result("launch", "failed", 6, "r", {"a": 1}, [PROBLEM], [PROBLEM]), "r")

    assert (found.id, found.status, found.exit_code, found.succeeded) == ("r", "failed", 6, False)
    assert found.errors == found.warnings == (PROBLEM,) and found.data == {"a": 1}
    assert found.cause is not None and found.cause.startswith("gpu01 rank 1: ")


@pytest.mark.parametrize(("code", "status"), [("RUN_STOPPED", "stopped"), ("TIMED_OUT", "failed")])
def test_a_run_that_was_stopped_has_not_failed(code, status):
    assert results.of_run(commands.Result("attach", "failed", 8, "r", None, [Problem(code, "m")]), "r").status == status


def test_a_success_has_no_cause_and_raises_nothing():
    found = results.of_run(commands.Result("launch", "succeeded", 0, "r", {}, [], [PROBLEM]), "r")
    found.raise_for_errors()
    Check(0).raise_for_errors()

    assert (found.cause, found.succeeded, Check(0).passed) == (None, True, True)


@pytest.mark.parametrize(
    ("number", "code"), [(6, ExitCode.JOB_FAILED), (42, ExitCode.INTERNAL), (-(2**40), ExitCode.INTERNAL)]
)
def test_a_failure_raises_its_own_exit_code_errors_and_run(number, code):
    with pytest.raises(RunError) as caught:
        Result("r", "failed", number, "why").raise_for_errors()

    assert (caught.value.exit_code, caught.value.run_id) == (code, "r")
    assert [(one.code, one.message) for one in caught.value.problems] == [("RUN_FAILED", "why")]
    with pytest.raises(RunError, match="RANK_FAILED"):
        FAILED.raise_for_errors()


def test_an_error_reaches_another_process_whole():
    failed = results.failure("r", 6, (PROBLEM, PROBLEM), None)
    for error in (failed, KeywordError(PROBLEM), UsageError(PROBLEM, PROBLEM)):
        again = pickle.loads(pickle.dumps(error))

        assert type(again) is type(error) and vars(again) == vars(error) and str(again) == str(error)
        assert (again.exit_code, again.problems) == (error.exit_code, error.problems)
    assert pickle.loads(pickle.dumps(failed)).run_id == "r"


def test_a_line_is_text_and_knows_where_it_comes_from():
    line = Line("loss 0.1", "gpu01", 3, "stdout", 1.5)

    for one in (line, copy.copy(line), pickle.loads(pickle.dumps(line))):
        assert one == "loss 0.1" and isinstance(one, str)
        assert (one.host, one.rank, one.stream, one.time) == ("gpu01", 3, "stdout", 1.5)


def test_a_run_is_the_same_in_another_process():
    run = Run("20261129-1", "n")
    again = pickle.loads(pickle.dumps(run))

    assert again == run and hash(again) == hash(run) and again.name == "n"
    assert run != Run("20261129-2", "n") and run != "20261129-1"
