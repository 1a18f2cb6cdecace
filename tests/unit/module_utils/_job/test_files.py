# SPDX-License-Identifier: Apache-2.0
"""What a job reads and writes on shared storage, and that all of ours that it needs is delivered."""

import json
import os
import subprocess
import sys
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, job_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles
from ansible_collections.madctl.multinode.plugins.module_utils._job import attempt, delivery, files
from ansible_collections.madctl.multinode.plugins.module_utils._ways import slurm
from madctl.jobs import place


def told(directory):
    return place.Story(directory).more()


def test_a_request_is_gone_when_it_was_read(tmp_path):
    (tmp_path / "request.json").write_text('{"arguments": {}}')

    assert files.take_request(str(tmp_path)) == {"arguments": {}}
    assert os.listdir(tmp_path) == []
    with pytest.raises(files.RequestError, match="No such file"):
        files.take_request(str(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_what_is_no_request_is_refused(tmp_path, text):
    (tmp_path / "request.json").write_text(text)
    with pytest.raises(files.RequestError):
        files.take_request(str(tmp_path))


def test_a_story_is_read_as_it_was_told(tmp_path):
    story = files.Story(str(tmp_path), 1 << 20)
    story.tell({"event": "started", "host": "a"}, b"")
    reader = place.Story(tmp_path)
    assert reader.more() == [({"event": "started", "host": "a"}, b"")]
    story.tell({"event": "log", "host": "a", "log": "runner.out"}, b"out")
    story.close()

    assert reader.more_waits
    ((event, payload),) = reader.more()
    assert 0 <= time.time() - event.pop("time") < 60
    assert (event, payload) == ({"event": "log", "host": "a", "log": "runner.out", "bytes": 3}, b"out")
    assert reader.more() == [] and not reader.more_waits


def test_output_beyond_the_bound_is_left_out_and_said_so_while_events_go_on(tmp_path):
    story = files.Story(str(tmp_path), 4)
    for data in (b"abc", b"def", b"ghi"):
        story.tell({"event": "log", "host": "a", "log": "runner.out"}, data)
    story.tell({"event": "log", "host": "b", "log": "runner.out"}, b"abc")
    story.tell({"event": "exit", "host": "a"}, b"")
    story.close()

    shown = [(header["event"], header.get("size"), payload) for header, payload in told(tmp_path)]
    assert shown == [
        ("log", None, b"abc"),
        (events.SKIPPED, 2, b""),
        ("log", None, b"d"),
        (events.SKIPPED, 3, b""),
        ("log", None, b"abc"),
        ("exit", None, b""),
    ]


def test_a_full_disk_ends_neither_the_job_nor_the_story(tmp_path, monkeypatch):
    story = files.Story(str(tmp_path), 1 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        story.tell({"event": "started", "host": "a"}, b"")
    assert story.trouble["code"] == "OUTPUT_LOST"
    story.close()


@pytest.mark.parametrize(("text", "order"), [("stop\n", wire.STOP), ("kill", wire.KILL), ("", None), ("rm", None)])
def test_an_order_is_one_of_two_words(tmp_path, text, order):
    assert files.order(str(tmp_path)) is None
    (tmp_path / "order").write_text(text)

    assert files.order(str(tmp_path)) == order


def test_everything_that_the_conductor_calls_on_nodes_is_delivered(tmp_path):
    for name, text in delivery.files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    modules = [*bundles.programs(), "_probe.node_facts", "_arm.arming", "_arm.prove", "_runs.log_tail", "_runs.run_end"]
    assert [name for name in modules if not (tmp_path / "modules" / (name.replace(".", "/") + ".py")).exists()] == []
    # As a job starts it: nothing else of ours can be imported there.
    words = [sys.executable, "-I", "-S", str(tmp_path / "madctl_job.py"), job_directory.CONDUCTOR, str(tmp_path)]
    done = subprocess.run(words, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)

    assert done.returncode == 5, done.stderr
    (problem,) = json.loads((tmp_path / "result.json").read_text())["problems"]
    assert problem["message"] == "SLURM_JOB_ID and SLURM_JOB_NODELIST are not set: this is not a job of Slurm"


# -- what slurm calls things -----------------------------------------------------------------------


def test_the_nodes_of_a_job_are_in_slurm_s_order():
    job = slurm.job({"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "a[001-003,7],b[1-2]c"})

    assert job == slurm.Job("7", ["a001", "a002", "a003", "a7", "b1c", "b2c"])


@pytest.mark.parametrize(
    "variables",
    [{}, {"SLURM_JOB_ID": "x", "SLURM_JOB_NODELIST": "a"}, {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "a;b"}],
)
def test_what_is_no_job_is_refused(variables):
    with pytest.raises(slurm.JobError):
        slurm.job(variables)


def test_srun_does_not_take_options_from_the_environment_of_the_job():
    shaping = ["SLURM_NTASKS", "SLURM_CPUS_PER_TASK", "SRUN_CPUS_PER_TASK", "SLURM_EXPORT_ENV", "SLURM_CPU_BIND_TYPE"]
    kept = ["SLURM_JOB_ID", "SLURM_CONF", "SLURM_NTASKS_OF_MINE", "CUDA_VISIBLE_DEVICES", "PATH"]

    assert list(slurm.without(dict.fromkeys([*shaping, *kept], "1"))) == kept


@pytest.mark.parametrize(
    ("text", "seconds"), [("KillWait                = 60 sec\n", 60.0), ("", 30.0), ("KillWait = x", 30.0)]
)
def test_how_long_slurm_waits_before_it_kills(text, seconds):
    assert slurm.kill_wait("A = 1\n" + text) == seconds


@pytest.mark.parametrize("stays", [True, False])
def test_a_request_stays_only_where_the_job_may_be_requeued(tmp_path, stays):
    (tmp_path / "request.json").write_text(json.dumps({"requeue": stays}))
    files.take_request(str(tmp_path))
    assert (tmp_path / "request.json").exists() is stays

    files.remove_request(str(tmp_path))
    assert not (tmp_path / "request.json").exists()


def test_each_attempt_of_a_job_has_an_id_of_its_own():
    given = {"run_id": "r", "max_restarts": 2, "env": {"A": "1"}}
    first, second, third = (attempt.arguments(given, number) for number in range(3))

    # Restarts of the first one are r.1 and r.2.
    assert [one["run_id"] for one in (first, second, third)] == ["r", "r.3", "r.6"]
    assert [one["attempt"] for one in (first, second, third)] == [0, 3, 6]
    assert third["env"] == {"A": "1"}


@pytest.mark.parametrize(
    ("first", "may_be"),
    [
        ([], False),
        ([{"code": "RUN_STOPPED"}], True),
        ([{"code": "COMMAND_FAILED", "signal": 15}], True),
        ([{"code": "COMMAND_FAILED", "signal": 9}, {"code": "RUN_STOPPED"}], False),
        ([{"code": "COMMAND_FAILED", "exit_code": 1}], False),
    ],
)
def test_a_scheduler_ends_ranks_by_a_signal_before_the_conductor_hears_of_it(first, may_be):
    assert attempt.may_be_ended({"problems": first}) is may_be
