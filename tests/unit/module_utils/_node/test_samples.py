# SPDX-License-Identifier: Apache-2.0
"""The file of the last samples of a run, and what is written into it."""

import errno
import json
import os
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import usage as shares
from ansible_collections.madctl.multinode.plugins.module_utils._node import gpu_usage, samples
from tests.unit.module_utils import measured


class EnoughError(Exception):
    """The loop has turned often enough."""


@pytest.fixture
def clockwork(monkeypatch):
    """Have the loop measure what a test says, wait for nothing, and end after as many turns as there are measurements."""

    def run(run_dir, measurements, beside=None):
        told = {"pauses": [], "asked": []}
        left = iter(measurements)

        def measure(_, asks_gpus):
            told["asked"].append(asks_gpus)
            return next(left)

        def sleep(seconds):
            told["pauses"].append(seconds)
            if len(told["pauses"]) >= len(measurements):
                raise EnoughError

        monkeypatch.setattr(samples, "measure", measure)
        monkeypatch.setattr(time, "sleep", sleep)
        with pytest.raises(EnoughError):
            samples.keep(str(run_dir), None if beside is None else str(beside))
        return told

    return run


@pytest.fixture
def no_gpus(monkeypatch):
    monkeypatch.setattr(gpu_usage, "may_have", lambda: False)


def series(count, **more):
    return [measured.measurement(10.0 * at, 100 * at, 1000 * at, {0: 5.0 * at}, **more) for at in range(count)]


def test_the_last_samples_are_kept_and_the_newest_of_them_where_others_see_it(clockwork, no_gpus, tmp_path):
    beside = tmp_path / "beside.json"
    told = clockwork(tmp_path, series(shares.KEPT + 6), beside)
    found = json.loads((tmp_path / "samples.json").read_text())

    assert told["pauses"][:3] == [1.0, 10.0, 10.0]
    assert shares.is_file(found)
    assert found["interval_seconds"] == 10.0
    assert [entry["time"] - 1_700_000_000 for entry in found["samples"]] == [
        10.0 * at for at in range(6, shares.KEPT + 6)
    ]
    assert {entry["ranks"]["0"]["cpu_percent"] for entry in found["samples"]} == {50.0}
    assert samples.read(str(beside)) == found["samples"][-1:]
    assert sorted(os.listdir(tmp_path)) == ["beside.json", "samples.json"]
    assert (tmp_path / "samples.json").stat().st_mode & 0o777 == 0o600


def test_of_very_many_ranks_fewer_samples_are_kept(tmp_path):
    ranks = {rank: measured.load(percent=1.0) for rank in range(500)}
    path = tmp_path / "samples.json"
    samples.write(str(path), [measured.sample(ranks, time=float(at)) for at in range(30)], 10.0)

    assert path.stat().st_size <= 1 << 20
    assert 1 < len(samples.read(str(path))) < 30
    assert samples.read(str(path))[-1]["time"] == 29.0
    most = {rank: measured.load(percent=1.0) for rank in range(4096)}
    samples.write(str(path), [measured.sample(most)] * 3, 10.0)
    assert len(samples.read(str(path))) == 1


def test_samples_go_on_where_an_earlier_program_ended(clockwork, no_gpus, tmp_path):
    clockwork(tmp_path, series(3))
    clockwork(tmp_path, series(4))

    assert len(samples.read(str(tmp_path / "samples.json"))) == 2 + 3


def test_what_a_run_does_while_it_is_told_to_end_is_no_sample(monkeypatch, no_gpus, tmp_path):
    event = {"event": "stopping", "seq": 9, "reason": "stopped"}
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + "\n")
    samples.write(str(tmp_path / "samples.json"), [measured.sample()], 10.0)
    monkeypatch.setattr(samples, "measure", lambda *_: measured.measurement())
    monkeypatch.setattr(time, "sleep", lambda _: None)
    samples.keep(str(tmp_path), None)

    assert samples.read(str(tmp_path / "samples.json")) == [measured.sample()]


def test_a_driver_that_hangs_is_not_asked_again(clockwork, no_gpus, tmp_path):
    told = clockwork(tmp_path, [*series(2), *series(3, gpus_error=shares.HUNG)])

    assert told["asked"] == [True, True, True, False, False]


def test_a_program_for_gpus_is_started_less_often(clockwork, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_usage, "may_have", lambda: True)
    monkeypatch.setattr(gpu_usage, "needs_tool", lambda: True)

    assert clockwork(tmp_path, series(3))["pauses"] == [1.0, 30.0, 30.0]


ODD = {
    "a directory": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to("/etc/passwd"),
    "a pipe": os.mkfifo,
    "not JSON": lambda path: path.write_text("{"),
    "something else": lambda path: path.write_text('{"interval_seconds": 10, "samples": [5]}'),
    "too long": lambda path: path.write_text(" " * (shares.BYTES + 5) + "{}"),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_a_job_puts_in_its_place_is_not_read(make, tmp_path):
    make(tmp_path / "samples.json")

    assert samples.read(str(tmp_path / "samples.json")) == []


@pytest.mark.parametrize("name", ["samples.json", "samples.json.partial"])
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_a_job_puts_in_its_place_ends_nothing_and_is_not_written_through(name, make, clockwork, no_gpus, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("whole")
    if name.endswith("partial"):
        (tmp_path / name).symlink_to(victim)
    else:
        make(tmp_path / name)
    clockwork(tmp_path, series(4))

    assert victim.read_text() == "whole"
    is_there = samples.read(str(tmp_path / "samples.json"))
    assert bool(is_there) is not (tmp_path / "samples.json").is_dir()


def test_a_full_disk_keeps_the_samples_that_there_are(clockwork, no_gpus, tmp_path, monkeypatch):
    samples.write(str(tmp_path / "samples.json"), [measured.sample()], 10.0)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    clockwork(tmp_path, series(3))

    assert samples.read(str(tmp_path / "samples.json")) == [measured.sample()]
    assert os.listdir(tmp_path) == ["samples.json"]


def test_gpus_that_hang_are_left_behind(monkeypatch):
    monkeypatch.setattr(gpu_usage, "may_have", lambda: True)
    monkeypatch.setattr(gpu_usage, "needs_tool", lambda: False)
    monkeypatch.setattr(gpu_usage, "measure", lambda: time.sleep(60))
    monkeypatch.setattr(samples, "_FILE_SECONDS", 0.05)

    assert samples.gpus() == gpu_usage.Found([], [], None, shares.HUNG)


def test_gpus_that_are_no_crash(monkeypatch):
    monkeypatch.setattr(gpu_usage, "may_have", lambda: True)
    monkeypatch.setattr(gpu_usage, "measure", lambda: [][5])
    monkeypatch.setattr(samples, "_FILE_SECONDS", 60.0)
    monkeypatch.setattr(samples, "_TOOL_SECONDS", 60.0)

    assert samples.gpus().error == "IndexError: list index out of range"


def test_what_is_measured_of_a_real_run(tmp_path, monkeypatch):
    found = gpu_usage.Found([{name: None for name in shares.GPU if name != "ranks"}], [[os.getpid(), 1]], "kernel")
    monkeypatch.setattr(samples, "gpus", lambda: found)
    events = [
        {"event": "started", "seq": 1, "pid": os.getppid(), "time": time.time() - 5},
        {"event": "joined", "seq": 2, "rank": 2, "pid": os.getpid()},
        {"event": "joined", "seq": 3, "rank": 3, "pid": 1 << 22},
        {"event": "rank_exit", "seq": 4, "rank": 3, "exit_code": 0, "signal": None},
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/rank-2.out").write_text("x")
    measured_now = samples.measure(str(tmp_path))

    assert shares.is_measured(measured_now)
    own, ended = measured_now["ranks"]["2"], measured_now["ranks"]["3"]
    assert (own["has_ended"], own["processes"] >= 1, own["memory_bytes"] > 1 << 20) == (False, True, True)
    assert own["output_age_seconds"] < 60
    assert (ended["has_ended"], ended["processes"], ended["output_age_seconds"]) == (True, 0, None)
    assert measured_now["job"]["processes"] >= own["processes"] + 1
    assert 4 < measured_now["job"]["age_seconds"] < 60
    assert measured_now["gpus"][0]["ranks"] == [2]
    assert shares.is_measured(samples.measure(str(tmp_path / "none"), asks_gpus=False))
