# SPDX-License-Identifier: Apache-2.0
"""The conductor of a job: what it does with the job's attempts, signals and time, without a scheduler."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._job import conduct, work


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a function that looks at a job of two nodes in a directory that has its request."""

    def look():
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        monkeypatch.setenv("SLURM_JOB_NODELIST", "a,b")
        (tmp_path / job_directory.REQUEST).write_text('{"arguments": {}, "agents_seconds": 1}')
        monkeypatch.setattr(conduct.slurm, "show", lambda *_: "KillWait                = 30 sec\n")
        return conduct.SlurmSite(str(tmp_path))

    return look


@pytest.mark.parametrize(
    ("shape", "kill_wait", "grace"),
    [("script", 30, 25.0), ("script", 600, 60.0), ("model", 30, 17.0), ("model", 10, 1.0), ("script", 0, 1.0)],
)
def test_ranks_have_the_time_before_the_kill_less_what_records_and_containers_take(site, shape, kill_wait, grace):
    found = site()
    found.config = "KillWait                = %d sec\n" % kill_wait

    assert work.Work(found)._bounded({"grace": 60.0, "shape": shape, "runner": "torchrun"})["grace"] == grace


@pytest.mark.parametrize(("count", "path"), [(None, ""), ("0", ""), ("2", "attempts/2"), ("../..", ""), ("-1", "")])
def test_each_attempt_writes_into_its_own_directory(site, tmp_path, monkeypatch, count, path):
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    if count is not None:
        monkeypatch.setenv("SLURM_RESTART_COUNT", count)

    assert site().place == str(tmp_path / path).rstrip("/")


@pytest.mark.parametrize(
    ("said", "returns", "ends"),
    [
        ("JobId=7 JobName=x\n   JobState=COMPLETING Reason=None", True, True),
        ("   JobState=PENDING Reason=BeginTime", True, True),
        ("   JobState=CANCELLED Reason=None", False, True),
        ("   JobState=TIMEOUT Reason=TimeLimit", False, True),
        ("   JobState=RUNNING Reason=None", True, False),
        ("   JobState=SUSPENDED Reason=None", True, False),
        ("", True, False),
    ],
)
def test_a_job_may_return_unless_slurm_says_that_it_has_ended(site, monkeypatch, said, returns, ends):
    found = site()
    monkeypatch.setattr(conduct.slurm, "show", lambda *_: said)

    assert (found.has_returned(), found.is_ending()) == (returns, ends)


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETING"])
def test_a_run_is_ended_by_slurm_also_if_its_signal_is_late_on_the_first_node(site, monkeypatch, state):
    found = site()
    monkeypatch.setattr(work, "_TELL_SECONDS", 0.0)
    monkeypatch.setattr(conduct.slurm, "show", lambda *_: f"   JobState={state} Reason=None")
    failed = work.failed([{**codes.problem("RANK_FAILED", "node2", "SIGTERM"), "signal": 15}])
    result = work.Work(found)._by_scheduler(failed)

    is_ended = state == "COMPLETING"
    assert (result["by_scheduler"], result["problems"][0]["code"]) == (
        is_ended,
        "RUN_STOPPED" if is_ended else "RANK_FAILED",
    )
