# SPDX-License-Identifier: Apache-2.0
"""A supervisor inside of a scheduler's job, whose signals are not all for us, and which may be suspended."""

import json
import os
import signal
import sys
import time

import pytest

from tests.unit.module_utils.real_supervisor import start

pytestmark = pytest.mark.slow

COUNTING = """\
import signal, sys, time
count = []
signal.signal(signal.SIGUSR1, lambda *_: count.append(1))
print("waiting", flush=True)
while not count: time.sleep(0.02)
time.sleep(0.3)
sys.exit(len(count))
"""
UNTIL_TOLD = "trap 'exit 3' USR1; echo waiting; while :; do sleep 0.05; done"


def waiting(run):
    log = run.run_dir / "logs" / "runner.out"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_bytes()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_signal_for_the_programs_comes_by_the_channel_and_is_passed_on_once(arm):
    run = arm(sys.executable, "-c", COUNTING, in_step=True)
    channel = start(run)
    waiting(run)
    for name in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGWINCH):
        run.process.send_signal(name)  # As a scheduler sends it to every process of a step.
    channel.send(json.dumps({"signal": int(signal.SIGUSR1), "to": "runner"}).encode() + b"\n")
    run.follow(channel)

    assert (run.record["exit_code"], run.record["stopped"]) == (1, False)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, 0, -1, 99, "9", None, 10.5])
def test_no_other_signal_is_passed_on(arm, number):
    run = arm("sh", "-c", UNTIL_TOLD, in_step=True)
    channel = start(run)
    waiting(run)
    for each in (number, int(signal.SIGUSR1)):
        channel.send(json.dumps({"signal": each, "to": "runner"}).encode() + b"\n")
    run.follow(channel)

    assert (run.record["exit_code"], run.record["trouble"]) == (3, None)


def test_the_time_for_which_a_job_was_suspended_does_not_count(arm):
    soon = [("_supervise/supervisor_loop", "STOPPED_SECONDS = 5.0, 5.0", "STOPPED_SECONDS = 0.2, 0.5")]
    run = arm("sh", "-c", UNTIL_TOLD, in_step=True, timeout=6.0, broken=soon)
    channel = start(run)
    waiting(run)
    os.kill(run.process.pid, signal.SIGSTOP)
    time.sleep(6.5)  # Longer than all of its time.
    os.kill(run.process.pid, signal.SIGCONT)
    # It looks at its clock in the same turn in which it passes this on.
    channel.send(json.dumps({"signal": int(signal.SIGUSR1), "to": "runner"}).encode() + b"\n")
    run.follow(channel)

    assert (run.record["exit_code"], run.record["reason"]) == (3, None)


DOCKER = """\
#!/bin/sh
echo "$@" >> {place}/calls
case $1 in
  ps) echo container_of_a_model ;;
  inspect) echo '[{{"Name": "/container_of_a_model", "Created": "", "Config": {{"Env": ["MADCTL_RUN_ID=this"]}}}}]' ;;
esac
"""


def test_containers_of_a_job_that_slurm_ends_are_removed_also_where_ranks_do_not_end_by_themselves(
    arm, tmp_path, monkeypatch
):
    """A container is not in the job, so nothing else would end it; two signals at once are one order."""
    (tmp_path / "docker").write_text(DOCKER.format(place=tmp_path))
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    after = [sys.executable, "-I", "-S", str(tmp_path / "bin" / "madctl_node.py"), "container_removal", "this"]
    run = arm("sh", "-c", "trap '' TERM; echo waiting; while :; do sleep 0.1; done", in_step=True, after=after)
    channel = start(run)
    waiting(run)
    for _ in range(2):
        run.process.send_signal(signal.SIGTERM)
    run.follow(channel)

    assert (run.record["reason"], run.record["left_behind"]) == ("stopped", [])
    assert "rm --force container_of_a_model" in (tmp_path / "calls").read_text().splitlines()
