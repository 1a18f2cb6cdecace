# SPDX-License-Identifier: Apache-2.0
"""The state of a run in a job, from files that its job wrote, and from a scheduler that only pretends."""

import json
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._job import files
from madctl.errors import ExitCode, Problem, RunError
from madctl.jobs import slurm, standing

PLAN = {
    "run_id": "r",
    "shape": "script",
    "runner": "torchrun",
    "world_size": 4,
    "nodes": [{"host": "a"}, {"host": "b"}],
}
UNREACHED = RunError(ExitCode.UNREACHABLE, Problem("SCHEDULER_UNREACHABLE", "Slurm's controller cannot be reached"))


@pytest.fixture
def asked(monkeypatch):
    """Have the scheduler give an answer, or fail; without one, it must not be asked."""

    def answer(state=None, reason=""):
        def look(*_):
            if state is None:
                raise UNREACHED
            return slurm.State(state, reason)

        monkeypatch.setattr(slurm, "look", look, raising=False)

    monkeypatch.delattr(slurm, "look")
    return answer


@pytest.fixture
def job(tmp_path):
    return {"on": "slurm", "id": "7", "place": str(tmp_path)}


def begin(job, **state):
    story = files.Story(job["place"], 100)
    story.tell({"event": "planned", "plan": PLAN, "warnings": [], "without_ifconfig": []}, b"")
    story.close()
    nodes = {host: {"state": "running", "exit": None, "joined": 2} for host in ("a", "b")}
    files.write(job["place"], "state.json", {"stage": "running", "time": time.time(), "nodes": nodes, **state})


def end(job, *problems, **more):
    files.write(job["place"], "result.json", {"problems": list(problems), "exit_code": 0, "ended": 9.0, **more})


def test_a_run_with_a_heartbeat_runs_and_nobody_is_asked(asked, job):
    begin(job, began=5.0)
    found = standing.of(job)

    assert (found.verdict.status, found.verdict.began, found.verdict.joined) == ("running", 5.0, 4)
    assert found.plan == PLAN and found.nodes["b"]["state"] == "running"


@pytest.mark.parametrize(
    ("state", "status", "cause"),
    [
        (("RUNNING",), "running", None),
        (("SUSPENDED",), "suspended", None),
        (("NODE_FAIL",), "failed", "a node of the job failed"),
        (("CANCELLED",), "stopped", None),
        ((), "unknown", "Slurm's controller cannot be reached"),
    ],
)
def test_of_a_run_that_fell_silent_the_scheduler_is_asked(asked, job, state, status, cause):
    begin(job, time=time.time() - 1000)
    asked(*state)
    found = standing.of(job)

    assert (found.verdict.status, found.verdict.cause) == (status, cause)
    assert bool(found.unknown) is (status == "unknown")


def test_a_job_that_waits_is_queued_and_says_why(asked, job):
    asked("PENDING", "Resources")

    assert standing.of(job)[:3] == (standing.Verdict("queued", "Resources"), {}, None)


def test_the_first_failure_is_that_of_the_result_with_the_line_that_names_the_error(asked, job):
    begin(job)
    end(job, {**codes.problem("RANK_FAILED", "b", "rank 3 failed: exit code 1"), "rank": 3}, error="OSError: gone")
    found = standing.of(job).verdict

    assert (found.status, found.cause, found.error) == ("failed", "b rank 3: exit code 1", "OSError: gone")
    assert (found.host, found.rank, found.exit_code, found.ended) == ("b", 3, 6, 9.0)


def test_what_the_scheduler_ended_has_its_reason(asked, job):
    begin(job)
    end(job, codes.problem("RUN_STOPPED", None, "the scheduler ended the job"), by_scheduler=True)
    asked("PREEMPTED")

    assert standing.of(job).verdict.cause == "the job was preempted by another"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("result.json", {"problems": [{"code": 7}], "exit_code": 0}),
        ("result.json", {"problems": [], "exit_code": "0"}),
        (
            "state.json",
            {"time": time.time(), "stage": "x", "nodes": {"a": {"state": "\x1b", "joined": -1, "exit": None}}},
        ),
        ("story", None),
        ("state.json", []),
    ],
)
def test_files_that_a_job_has_spoiled_are_no_evidence(asked, job, tmp_path, name, data):
    begin(job)
    (tmp_path / name).write_text(json.dumps(data))
    asked("COMPLETED")

    assert standing.of(job).verdict.status in ("running", "failed")


def test_a_job_that_is_requeued_waits_and_its_attempts_are_known(asked, job, tmp_path):
    begin(job)
    end(job, codes.problem("RUN_STOPPED", None, "the scheduler ended the job"), by_scheduler=True)
    asked("PENDING", "BeginTime")
    found = standing.of(job)
    assert found.verdict == standing.Verdict("queued", "BeginTime") and not found.nodes
    assert found.earlier == [{"attempt": 1, "ended": 9.0, "cause": "requeued by Slurm"}]

    second = {**job, "place": str(tmp_path / "attempts" / "1")}
    (tmp_path / "attempts" / "1").mkdir(parents=True)
    begin(second, began=7.0)
    again = standing.of(job)
    assert (again.verdict.status, again.verdict.began, again.earlier) == ("running", 7.0, found.earlier)
    end(second)
    assert standing.of(job).verdict.status == "succeeded"


def test_a_job_that_slurm_is_ending_has_not_ended(asked, job):
    """It may be requeued, and the reason is not known yet."""
    begin(job)
    end(job, codes.problem("RUN_STOPPED", None, "the scheduler ended the job"), by_scheduler=True)
    asked("COMPLETING")

    assert standing.of(job).verdict.status == "running"


def test_the_request_of_a_job_that_has_ended_is_removed(asked, job, tmp_path):
    request = tmp_path / "request.json"
    request.write_text("{}")
    begin(job)
    end(job, codes.problem("RUN_STOPPED", None, "the scheduler ended the job"), by_scheduler=True)
    asked("PENDING")
    standing.of(job)
    assert request.exists()
    asked("TIMEOUT")
    standing.of(job)
    assert not request.exists()
