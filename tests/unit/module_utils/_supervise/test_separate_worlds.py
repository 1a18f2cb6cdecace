# SPDX-License-Identifier: Apache-2.0
"""Ranks that start a launcher: found by the supervisor in real processes, and judged by the follower."""

import os
import sys
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._follow import run_outcome, verdict
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, procfs
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import separate_worlds
from tests.unit.module_utils.channels import Followed

pytestmark = pytest.mark.slow

# A launcher is known by its name; this one starts one rank, in a world that its words name.
LAUNCHER = """#!/bin/sh
RANK=$1 WORLD_SIZE=$2 sh -c 'while ! [ -e "$0" ]; do sleep 0.05; done' "$3"
"""
WRAPPERS = {
    "exec": '#!/bin/sh\nexec "{launcher}" {words}\n',
    "child": '#!/bin/sh\n"{launcher}" {words}\necho ended\n',
    "Python": '#!{python}\nimport subprocess\nsubprocess.run(["{launcher}", *"{words}".split()], check=True)\n',
}


def write(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def rank(arm, tmp_path):
    """Start one rank of two whose program is a script that calls a program of some name."""

    def make(name, wrapper, inner_rank, inner_size):
        launcher = write(tmp_path / name, LAUNCHER)
        words = f"{inner_rank} {inner_size} {tmp_path}/enough"
        text = WRAPPERS[wrapper].format(launcher=launcher, words=words, python=sys.executable)
        script = write(tmp_path / "run.sh", text)
        return arm(
            "env",
            "RANK=1",
            "WORLD_SIZE=2",
            sys.executable,
            "-I",
            "-S",
            f"{tmp_path}/bin/_supervise/rank_wrapper.py",
            str(script),
        )

    return make


def events(run, enough):
    """Follow a run, let its job end once it is told so, and return all events by their names."""
    channel = run.connect()
    channel.send(b"g")
    frames = []
    decoder, deadline = wire.Decoder(), time.monotonic() + 60
    channel.settimeout(60)
    while not any(header["event"] == "apart" for header, _ in frames) and time.monotonic() < deadline:
        frames += decoder.feed(channel.recv(1 << 16))
    enough.touch()
    while not any(header["event"] == "exit" for header, _ in frames):
        data = channel.recv(1 << 16)
        assert data, "it ended without a word"
        frames += decoder.feed(data)
    channel.close()
    return {header["event"]: header for header, _ in frames}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_world_inside_a_rank_is_seen(rank, tmp_path, wrapper):
    run = rank("torchrun", wrapper, 0, 1)
    found = events(run, tmp_path / "enough")

    assert (found["joined"]["rank"], found["joined"]["world_size"]) == (1, 2)
    assert (found["apart"]["rank"], found["apart"]["launcher"], found["apart"]["size"]) == (1, "torchrun", 1)
    run.process.wait(60)
    assert run.record["apart"] == [1]


def test_a_world_of_the_same_size_is_another_where_the_rank_is_another(rank, tmp_path):
    found = events(rank("mpirun", "child", 0, 2), tmp_path / "enough")

    assert (found["apart"]["launcher"], found["apart"]["size"]) == ("mpirun", 2)


@pytest.mark.parametrize(("name", "inner"), [("torchrun", (1, 2)), ("worker", (0, 1))])
def test_processes_of_the_world_or_without_a_launcher_are_ignored(rank, tmp_path, name, inner):
    run = rank(name, "child", *inner)
    channel = run.connect()
    channel.send(b"g")
    pid = None
    deadline = time.monotonic() + 60
    # The last process that the rank's program starts.
    while not (pid and b"sleep" in b" ".join(map(os.fsencode, _below(pid)))) and time.monotonic() < deadline:
        pid = next((one for one in processes.find(run.run_id)[1] if _is_script(one, tmp_path)), None)
    found = separate_worlds.inner(pid, (1, 2), processes.by_parent())
    (tmp_path / "enough").touch()
    run.process.wait(60)
    channel.close()

    assert found is None
    assert run.record["apart"] == []


def _is_script(pid, tmp_path):
    words = procfs.command_line(pid)
    return words[-1:] == [str(tmp_path / "run.sh")] and not any("rank_wrapper.py" in word for word in words)


def _below(pid):
    found = processes.descendants(pid)
    return [word for one in found for word in procfs.command_line(one)]


def follower(size, *hosts):
    nodes = [{"host": host, "node_rank": rank, "run_dir": "/r"} for rank, host in enumerate(hosts)]
    plan = {"run_id": "r", "shape": "script", "runner": "torchrun", "world_size": size, "nodes": nodes}
    return Followed(plan).follower


def apart(seq, rank, size=1):
    return {"event": "apart", "seq": seq, "time": time.time(), "rank": rank, "launcher": "torchrun", "size": size}


def joined(seq, rank, size):
    return {"event": "joined", "seq": seq, "rank": rank, "world_size": size, "pid": 1, "argv0": "x"}


def problems(follower):
    for run in follower.runs:
        # How it ended does not matter here.
        run.exit = run.exit or {"outcome": "exited", "exit_code": 0, "signal": None}
    return [(entry["code"], entry["host"]) for entry in run_outcome.judge(follower.runs, follower.plan, None)[0]]


def test_a_run_whose_ranks_all_made_worlds_of_their_own_fails_at_once():
    found = follower(2, "a", "b")
    for number, run in enumerate(found.runs):
        found._event(run, joined(1, number, 2), b"")
    found._event(found.runs[0], apart(2, 0), b"")
    assert problems(found) == []
    assert not found.orders.stopping

    found._event(found.runs[1], apart(2, 1), b"")
    assert problems(found) == [("WORLD_DIFFERS", "b")]
    assert found.orders.stopping
    message = run_outcome.judge(found.runs, found.plan, None)[0][0]["message"]
    assert message == "rank 1 of 2 started torchrun, which made a world of its own, of size 1, as did every rank"


def test_one_rank_that_starts_something_else_does_not_end_the_job():
    found = follower(2, "a", "b")
    for number, run in enumerate(found.runs):
        found._event(run, joined(1, number, 2), b"")
    found._event(found.runs[0], apart(2, 0), b"")

    assert problems(found) == []


def test_the_only_rank_of_a_run_may_make_a_world():
    found = follower(1, "a")
    found._event(found.runs[0], joined(1, 0, 1), b"")
    found._event(found.runs[0], apart(2, 0, 8), b"")

    assert problems(found) == []


def test_a_rank_in_a_world_of_another_size_fails_at_once():
    found = follower(2, "a", "b")
    found._event(found.runs[1], joined(1, 0, 1), b"")

    assert problems(found) == [("WORLD_DIFFERS", "b")]
    assert found.orders.stopping


def test_a_command_may_make_worlds():
    found = follower(2, "a", "b")
    found.plan["shape"] = "command"
    for number, run in enumerate(found.runs):
        found._event(run, joined(1, number, 1), b"")
        found._event(run, apart(2, number), b"")

    assert problems(found) == []


def status(records, plan):
    nodes = [{"host": str(number)} for number in range(len(records))]
    answers = {str(number): {"state": "exited", "exit": record} for number, record in enumerate(records)}
    return verdict.of_nodes({**plan, "nodes": nodes}, answers).status


def test_status_shows_it_for_a_run_without_a_follower():
    clean = {"outcome": "exited", "exit_code": 0, "stopped": False, "left_behind": [], "trouble": None}
    records = [{**clean, "ranks_joined": 1, "apart": [rank]} for rank in (0, 1)]
    plan = {"shape": "script", "world_size": 2}

    assert status(records, plan) == "failed"
    assert status(records[:1], {**plan, "world_size": 1}) == "succeeded"
    records[1]["apart"] = []
    assert status(records, plan) == "succeeded"
