# SPDX-License-Identifier: Apache-2.0
"""Why a node's part of a run failed, from its events, its record and its logs, which the job can write to."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._runs import evidence


def rank_exit(rank, at, code=1, **more):
    return {"event": "rank_exit", "seq": 1, "rank": rank, "time": at, "exit_code": code, "signal": None, **more}


def found(happened=(), record=None, run_dir="/nonexistent"):
    return evidence.found(str(run_dir), record, list(happened))


def record(*exits, code=1):
    return {"exit_code": code, "signal": None, "rank_exits": list(exits)}


def test_the_first_failure_is_the_earliest_that_nobody_ordered():
    events = [rank_exit(0, 9.0), rank_exit(1, 2.0, code=0), rank_exit(2, 3.0, stopping=True), rank_exit(3, 5.0)]

    assert found(events)["failure"]["rank"] == 3
    assert found(record=record(*events))["failure"]["rank"] == 3
    assert found([{"event": "started", "seq": 1, "time": 1.5, "pid": 1}])["began"] == 1.5


@pytest.mark.parametrize(
    "exits",
    [None, 5, "x", [[]], [{}], [{"rank": 0}], [rank_exit("x", 1.0)], [rank_exit(0, "x")], [rank_exit(0, 1.0, code=[])]],
)
def test_what_is_not_an_event_is_left_out(exits):
    assert found(record={"exit_code": 1, "signal": None, "rank_exits": exits})["failure"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Traceback:\nOSError: full\n[rank0]: warning at exit\n", "OSError: full"),
        (
            "[rank3]: torch.cuda.OutOfMemoryError: CUDA out of memory\n",
            "torch.cuda.OutOfMemoryError: CUDA out of memory",
        ),
        ("KeyError: 1\nValueError: 2\nno Error here\n", "ValueError: 2"),
        ("KeyboardInterrupt\n", "KeyboardInterrupt"),
        ("nothing\n", None),
        ("", None),
        ("ValueError: " + "x" * 1000, "ValueError: " + "x" * 388),
    ],
)
def test_the_last_line_that_names_an_error_is_the_error(text, expected, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "rank-3.err").write_text(text)
    (tmp_path / "logs" / "runner.err").write_text("RunnerError: other\n")

    assert found([rank_exit(3, 1.0)], record(), tmp_path)["error"] == expected
    assert found([], record(), tmp_path)["error"] == "RunnerError: other"
    assert found([], record(code=0), tmp_path)["error"] is None
