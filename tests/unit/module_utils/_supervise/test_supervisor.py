# SPDX-License-Identifier: Apache-2.0
"""The supervisor as the program that nodes run, with real processes, on this machine."""

import fcntl
import signal
import subprocess
import threading
import time
import uuid

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import node_lock, processes
from ansible_collections.madctl.multinode.plugins.module_utils._runs import run_end, run_state
from tests.unit.module_utils.agent_by_hand import until
from tests.unit.module_utils.real_supervisor import read, start

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("orders", [[b"gs"], [b"sg"], [b"s", b"g"], [b"k", b"g"], [b"gk"]])
def test_a_stop_wins_over_a_start(arm, orders):
    run = arm("sh", "-c", "echo started")
    channel = run.connect()
    read(channel)
    for order in orders:
        try:
            channel.send(order)
        except BrokenPipeError:
            break  # It has ended, as ordered.
    run.process.wait(60)

    assert (run.record["outcome"], run.record["exit_code"]) == ("disarmed", None)
    assert not (run.run_dir / "logs" / "runner.out").exists()


def test_without_a_follower_nothing_starts(arm):
    run = arm("sh", "-c", "echo started")
    run.connect().close()
    run.process.wait(60)

    assert run.record["outcome"] == "disarmed"


def test_without_an_order_in_time_nothing_starts(arm):
    run = arm("sh", "-c", "echo started", start_timeout=0.2)
    run.process.wait(60)

    assert run.record["outcome"] == "disarmed"


def test_output_comes_before_the_end_and_events_before_output(arm):
    run = arm("sh", "-c", "echo out; echo err >&2; exit 3")
    channel = run.connect()
    channel.send(b"g")
    frames = run.follow(channel)
    events = [header["event"] for header, _ in frames]

    assert events[0] == "ready"
    assert events[-1] == "exit"
    assert {header["log"]: payload for header, payload in frames if payload} == {
        "runner.out": b"out\n",
        "runner.err": b"err\n",
    }
    assert run.record["exit_code"] == 3
    assert [header["seq"] for header, _ in frames if "seq" in header] == [1, 2, 3, 4]


def test_the_state_of_a_started_run_is_known_from_its_files(arm):
    run = arm("sh", "-c", "echo out; exit 3")
    channel = run.connect()
    channel.send(b"g")
    run.follow(channel)

    assert [event["event"] for event in run_state.read_events(str(run.run_dir))] == [
        *["armed", "started", "runner_exit", "exit"]
    ]
    seen = run_state.look({"run_id": run.run_id, "run_dir": str(run.run_dir)})
    assert (seen["state"], seen["container"], seen["processes"]) == ("exited", "session", 0)


def test_a_job_has_what_a_login_of_the_user_has(arm):
    run = arm("sh", "-c", "umask; grep -E '^(SigIgn|SigBlk)' /proc/self/status; cat /proc/self/oom_score_adj")
    channel = run.connect()
    channel.send(b"g")
    said = b"".join(payload for _, payload in run.follow(channel)).decode().split()

    blocked, ignored = (int(said[place], 16) for place in (2, 4))
    # Tests that run in the background ignore other signals, which do not matter here.
    ours = sum(1 << number - 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM))
    assert (said[0], blocked, ignored & ours, said[5]) == ("0027", 0, 0, "0")


@pytest.mark.parametrize(("code", "found"), [(7, (7, None)), (139, (None, 11)), (255, (255, None))])
def test_a_shells_word_for_a_signal_is_one_under_mpirun_and_no_other_code_is(arm, code, found):
    mpi = {"key": "ab", "address": "10.0.0.1", "places": {}, "leads": True, "ranks": 1, "many": False, "hands": False}
    run = arm("sh", "-c", f"exit {code}", mpi={**mpi, "seconds": 60.0})
    run.follow(start(run))

    assert (run.record["exit_code"], run.record["signal"]) == found


def test_a_second_run_is_refused_while_the_first_uses_the_node(arm, tmp_path):
    lock = str(tmp_path / "lock")
    first, second = arm("sleep", "60", lock=lock), arm("sleep", "60", lock=lock)

    assert (first.said, second.said) == ("ready", f"already used by run {first.run_id}")


def test_a_run_uses_the_node_as_long_as_its_runner_lives(arm, tmp_path):
    lock = str(tmp_path / "lock")
    first = arm("sleep", "60", lock=lock)
    start(first)
    first.process.kill()
    first.process.wait(60)
    second = arm("sleep", "60", lock=lock)

    assert second.said == f"already used by run {first.run_id}"
    assert run_end.stop(first.run_id, str(tmp_path), 0.0) == []
    assert arm("sleep", "60", lock=lock).said == "ready"


def test_a_run_that_is_over_no_longer_uses_the_node(arm, tmp_path):
    lock = str(tmp_path / "lock")
    first = arm("sh", "-c", "seq 300000", lock=lock)
    channel = start(first)
    until(lambda: (first.run_dir / "exit.json").exists() and node_lock.holder(lock) is None)
    # The follower has not read the output yet, and the supervisor waits for that.
    second = arm("sleep", "60", lock=lock)

    assert (first.process.poll(), second.said) == (None, "ready")
    channel.close()


def test_a_check_of_the_lock_is_not_a_run(arm, tmp_path):
    with open(tmp_path / "lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        threading.Timer(2.0, fcntl.flock, (stream, fcntl.LOCK_UN)).start()
        assert arm("sleep", "60", lock=stream.name).said == "ready"


def test_a_run_without_a_lock_is_found_too(arm, tmp_path):
    other = f"20260101-000000-{uuid.uuid4().hex[:8]}"
    stray = subprocess.Popen(["sleep", "60"], env={"MADCTL_RUN_ID": other})
    try:
        while processes.run_of(stray.pid) != other:
            assert stray.poll() is None
        said = arm("sleep", "60", lock=str(tmp_path / "lock")).said
    finally:
        stray.kill()
        stray.wait()

    assert said.startswith(f"already used by run {other}: process {stray.pid} (sleep")


def test_what_a_supervisor_forks_is_no_supervisor_before_it_becomes_the_job(arm, tmp_path):
    waits = f"import os; os.mkfifo('{tmp_path}/gate'); open('{tmp_path}/gate').read()"
    line = '    node_claim.give_up(spec["oom_score"], spec["umask"], files)\n    for name'
    run = arm("sleep", "600", broken=[("_supervise/job_setup", line, f"    {waits}\n{line}")])
    channel = run.connect()
    channel.send(b"g")
    until((tmp_path / "gate").exists)
    found = processes.find(run.run_id), processes.children(run.process.pid)
    (tmp_path / "gate").write_text("")
    run.process.send_signal(signal.SIGTERM)
    run.follow(channel)

    assert found[0] == ([run.process.pid], [])
    assert len(found[1]) == 1


def test_only_processes_that_provably_belong_to_the_run_are_ended(arm, tmp_path):
    ours, other = (f"20260101-000000-{uuid.uuid4().hex[:8]}" for _ in range(2))
    started = {run: subprocess.Popen(["sleep", "60"], env={"MADCTL_RUN_ID": run}) for run in (ours, other)}
    try:
        pids = [process.pid for process in started.values()]
        while any(processes.run_of(pid) is None for pid in pids):
            pass
        processes.kill_marked(ours, pids, 9)
        assert started[ours].wait(60) == -9
        assert started[other].poll() is None
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def test_a_supervisor_that_waits_costs_nothing(arm):
    run = arm("sleep", "60")
    channel = start(run)

    def spent():
        with open(f"/proc/{run.process.pid}/stat") as stream:
            fields = stream.read().rpartition(")")[2].split()
        with open(f"/proc/{run.process.pid}/status") as stream:
            [awakened] = [int(line.split()[1]) for line in stream if line.startswith("voluntary")]
        return fields[11:13], awakened

    while processes.stat(run.process.pid)[0] != "S":
        pass  # It is still writing its events.
    ticks, awakened = spent()
    time.sleep(1.5)  # Nothing can be waited for: that nothing happens is what is shown.

    assert spent()[0] == ticks
    assert spent()[1] <= awakened + 1, "it may have been about to fall asleep"
    channel.close()


def test_in_a_step_two_signals_of_the_scheduler_are_one_order_to_stop_and_its_user_s_own_are_none(arm):
    job = "trap 'sleep 0.5; echo orderly; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    run = arm("sh", "-c", job, in_step=True, grace=20.0)
    channel, output = start(run), run.run_dir / "logs" / "runner.out"
    deadline = time.monotonic() + 60
    while not output.exists() or output.read_text() != "ready\n":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        run.process.send_signal(number)
    seen = b""
    while b'"stopping"' not in seen:
        seen += channel.recv(1 << 16)
    # Sent earlier, the kernel may make one of the two.
    run.process.send_signal(signal.SIGTERM)
    run.follow(channel)

    assert run.record["reason"] == "stopped" and run.record["exit_code"] == 0
    assert output.read_text() == "ready\norderly\n"
