# SPDX-License-Identifier: Apache-2.0
"""How a node's tables and exit codes are judged, as both versions of madengine write them."""

import csv
import json
import os
import socket
import stat
import subprocess
import sys
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._follow import node_run, run_outcome
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import madengine_wrapper, runner_processes
from tests import hostile
from tests.unit.module_utils.real_supervisor import deliver

HEAD = "model, n_gpus, gpu_architecture, performance, metric, status, test_duration\n"
FIRST = {"leads": True, "many": True, "version": 1, "skips": False}
OTHER = {**FIRST, "leads": False}
SECOND = {"version": 2}


def row(status, performance="", duration="", model="m"):
    return f"{model},8,gfx942,{performance},{'tok/s' if performance else ''},{status},{duration}\n"


def judged(tmp_path, table, status, job):
    path = tmp_path / "perf.csv"
    if table is not None:
        path.write_text(HEAD + table)
    found = madengine_wrapper.rows(str(path))
    return madengine_wrapper.judge(found, status, job), madengine_wrapper.alone(found, job)


HERE = ": its container or script failed here"
CASES = {
    # Version 1 on the first node.
    "good": (row("SUCCESS", "4.2", "7.5"), 0, FIRST, [], []),
    "no performance": (row("FAILURE", "", "7.5"), 0, FIRST, ["model m: FAILURE"], []),
    "one of two": (row("SUCCESS", "1", "1") + row("FAILURE", model="b"), 0, FIRST, ["model b: FAILURE"], []),
    "skipped": (row("SKIPPED"), 0, FIRST, [], []),
    "deprecated, or not to run": ("", 0, FIRST, [], []),
    "no table": (None, 0, FIRST, ["madengine wrote no result"], []),
    "a crash": (None, 1, FIRST, ["madengine failed: exit code 1"], []),
    "killed": ("", -9, FIRST, ["madengine failed: SIGKILL"], []),
    "an unknown status": (row("PASSED", "1", "1"), 0, FIRST, ["model m: PASSED"], []),
    "no status": ("m\n", 0, FIRST, ["model m: no status"], []),
    # Version 1 on any other.
    "silent rank": (row("FAILURE", "", "7.5"), 0, OTHER, [], []),
    "script failed": (row("FAILURE"), 0, OTHER, ["model m: FAILURE" + HERE], []),
    "second model failed": (row("FAILURE", "", "7") + row("FAILURE"), 0, OTHER, ["model m: FAILURE" + HERE], []),
    "no number": (row("FAILURE", "", "nan"), 0, OTHER, ["model m: FAILURE" + HERE], []),
    "a word for a number": (row("FAILURE", "", "long"), 0, OTHER, ["model m: FAILURE" + HERE], []),
    "no table there": (None, 0, OTHER, ["madengine wrote no result"], []),
    "silent rank, and a crash": (row("FAILURE", "", "7"), 1, OTHER, ["madengine failed: exit code 1"], []),
    "own world": (row("SUCCESS", "4.2", "7.5"), 0, OTHER, [], ["m"]),
    "alone by plan": (row("SUCCESS", "4.2", "7.5"), 0, {**OTHER, "many": False}, [], []),
    # Version 2.
    "2: good": (row("SUCCESS", "4.2", "7.5"), 0, {**FIRST, **SECOND}, [], []),
    "2: worker": (row("SUCCESS", "", "7.5"), 0, {**OTHER, **SECOND}, [], []),
    "2: worker, no table": (None, 0, {**OTHER, **SECOND}, [], []),
    "2: own world": (row("SUCCESS", "4.2", "7.5"), 0, {**OTHER, **SECOND}, [], ["m"]),
    "2: worker failed": (row("FAILURE", "", "0"), 3, {**OTHER, **SECOND}, ["model m: FAILURE" + HERE], []),
    "2: worker failed, no table": (None, 3, {**OTHER, **SECOND}, ["madengine failed: exit code 3"], []),
    "2: failed": (row("FAILURE"), 3, {**FIRST, **SECOND}, ["model m: FAILURE"], []),
    "2: no row": ("", 0, {**FIRST, **SECOND}, ["madengine wrote no result"], []),
    "2: no row asked for": (None, 0, {**FIRST, **SECOND, "skips": True}, [], []),
    # An unknown version is treated as version 1.
    "?: silent rank": (row("FAILURE", "", "7.5"), 0, {**OTHER, "version": None}, [], []),
    "?: script failed": (row("FAILURE"), 0, {**OTHER, "version": None}, ["model m: FAILURE" + HERE], []),
    "?: no table": (None, 0, {**FIRST, "version": None}, ["madengine wrote no result"], []),
}


@pytest.mark.parametrize("case", CASES)
def test_success_must_be_shown(case, tmp_path):
    table, status, job, failed, alone = CASES[case]

    assert judged(tmp_path, table, status, job) == (failed, alone)


@pytest.mark.parametrize("table", ["", "\0", "model\n", '"', "model,status\n" + "x" * 200_000, "model,status\n\0,\0\n"])
def test_an_odd_table_is_not_a_success_of_version_2(table, tmp_path):
    path = tmp_path / "perf.csv"
    path.write_text(table)

    assert madengine_wrapper.judge(madengine_wrapper.rows(str(path)), 0, {**FIRST, **SECOND})


@pytest.mark.parametrize("text", hostile.LANGUAGES.values(), ids=hostile.LANGUAGES)
def test_what_a_model_writes_is_made_safe(text, tmp_path):
    path = tmp_path / "perf.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["model", "status", text], [text, text, text]])
    rows = madengine_wrapper.rows(str(path))
    told = [*rows[0], *rows[0].values(), *madengine_wrapper.judge(rows, 0, FIRST)]

    assert len(told) == 7
    assert all(hostile.is_harmless(value) for value in told)


def test_an_endless_table_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(madengine_wrapper, "TABLE_BYTES", 100)
    failed, _ = judged(tmp_path, row("SUCCESS", "1", "1") * 10, 0, FIRST)

    assert failed == ["model ?: a table too long to read"]


def test_a_world_of_its_own_is_a_failure_with_a_remedy():
    event = {"failed": [], "alone": ["m"], "stopping": False, "exit_code": 0}
    found = run_outcome.model_failure("n2", {"run_id": "r"}, event)

    assert (found["code"], found["host"]) == ("WORLD_DIFFERS", "n2")
    assert "MAD_MULTI_NODE_RUNNER" in found["remedy"]
    assert run_outcome.model_failure("n2", {"run_id": "r"}, {**event, "stopping": True}) is None


ENGINE = """
import os
os.makedirs(os.environ["MIRROR"])
assert "MODEL_DIR" not in os.environ
with open("res.csv", "a") as stream:
    stream.write("model,status,test_duration\\nm,SUCCESS,1.5\\n")
"""


@pytest.mark.parametrize("stale", [False, True])
def test_what_madengine_writes_elsewhere_has_the_user_s_umask(tmp_path, stale):
    """The whole program, with a table of its own name, and one of an earlier run in the checkout."""
    checkout, run_dir, mirror = tmp_path / "checkout", tmp_path / "run", tmp_path / "mirror"
    for place in (checkout, run_dir):
        place.mkdir()
    (checkout / "models.json").write_text("[]")
    if stale:
        (checkout / "res.csv").write_text("model,status,test_duration\nold,FAILURE,\n")
    job = {**FIRST, "argv": [sys.executable, "-c", ENGINE], "replaced": [], "table": "res.csv"}
    job["scripts"] = {"model": "#!/bin/sh\n"}
    (run_dir / "model.json").write_text(json.dumps(job))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(run_dir / "ranks.sock"))
    listener.listen()
    listener.settimeout(60)
    environment = {**os.environ, "MADCTL_RUN_DIR": str(run_dir), "MIRROR": str(mirror), "MODEL_DIR": "/elsewhere"}
    program = [sys.executable, "-I", "-S", deliver(tmp_path / "bin"), "madengine_wrapper"]
    done = subprocess.run(program, cwd=checkout, env=environment, umask=0o022)
    said = json.loads(listener.accept()[0].makefile().readline())
    listener.close()

    assert (done.returncode, said["failed"], [entry["model"] for entry in said["rows"]]) == (0, [], ["m"])
    assert stat.S_IMODE(mirror.stat().st_mode) == 0o755
    assert stat.S_IMODE((run_dir / "work").stat().st_mode) == 0o700
    assert stat.S_IMODE((run_dir / "work/.madctl/model").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["SUCCESS", "FAILURE"], None),
        (["SUCCESS", None], "n2"),
        (["SUCCESS", "SKIPPED"], "n2"),
        ([None, "FAILURE"], "n1"),
        (["SKIPPED", "SKIPPED"], None),
        ([None, None], None),
    ],
)
def test_a_model_runs_on_all_nodes_or_on_none(tables, expected):
    runs = [
        node_run.NodeRun(
            f"n{rank + 1}",
            rank,
            models=[{"model": "m", "status": status}] if status else [],
            exit={"outcome": "exited", "exit_code": 0, "signal": None, "stopped": False},
        )
        for rank, status in enumerate(tables)
    ]
    plan = {"run_id": "r", "shape": "model", "world_size": 2, "nodes": [{"host": run.host} for run in runs]}
    problems, _ = run_outcome.judge(runs, plan, None)

    assert [(entry["code"], entry["host"]) for entry in problems] == ([("MODEL_FAILED", expected)] if expected else [])


def test_cleaning_is_over_when_its_end_was_recorded():
    runners = runner_processes.Runners(
        {"after": ["/bin/true"], "env": {}, "mpi": None, "samples": None}, None, None, None
    )
    assert (runners.clean(), runners.clean()) == (True, False)
    while processes.stat(runners.cleaner)[0] != "Z":
        time.sleep(0.01)

    assert (runners.is_cleaning, runners.left()) == (True, ["containers that docker does not remove"])
    runners.cleaned(*os.waitpid(runners.cleaner, 0))
    assert (runners.is_cleaning, runners.left()) == (False, [])


def whole_run(*tables):
    ended = {"outcome": "exited", "exit_code": 0, "signal": None, "stopped": False}
    rows = [None if names is None else [{"model": name, "status": "SUCCESS"} for name in names] for names in tables]
    runs = [node_run.NodeRun(f"n{rank + 1}", rank, models=own, exit=ended) for rank, own in enumerate(rows)]
    plan = {"run_id": "r", "shape": "model", "world_size": 2, "nodes": [{"host": run.host} for run in runs]}
    return [(entry["host"], entry["message"]) for entry in run_outcome.judge(runs, plan, None)[0]]


def test_each_model_runs_on_all_nodes():
    assert whole_run(["a", "b"], ["a"]) == [("n2", "b ran on other nodes, not here")]
    assert whole_run(["a"], None) == [("n2", "how its models ended is not known")]
    assert whole_run(["a"], ["a"]) == []
    # Several results of one model have one row each where they were printed.
    assert whole_run(["a_loss", "a_speed"], ["a"]) == []
