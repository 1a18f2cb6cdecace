# SPDX-License-Identifier: Apache-2.0
"""The setup of a job, run by a real supervisor: before it is ready, and once for all that it starts."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import processes
from tests.unit.module_utils.agent_by_hand import until
from tests.unit.module_utils.real_supervisor import read

SAYS = 'echo "$A $PWD $(umask) $(ulimit -n) $MADCTL_RUN_ID $#"'

pytestmark = pytest.mark.slow


def asked(text, seconds=60.0):
    return {"text": text, "login": False, "seconds": seconds}


def test_the_job_starts_as_its_setup_leaves_things(arm, tmp_path):
    text = (
        f"export A='x y' MADCTL_RUN_ID=other; cd {tmp_path}; umask 077; ulimit -n 99; echo from the setup; echo e >&2"
    )
    run = arm("sh", "-c", SAYS, "sh", "a b", "$(c)", setup=asked(text))
    channel = run.connect()
    channel.send(b"g")
    frames = run.follow(channel)

    logs = {}
    for header, payload in frames:
        if payload:
            logs[header["log"]] = logs.get(header["log"], b"") + payload
    said = f"from the setup\nx y {tmp_path} 0077 99 {run.run_id} 2\n"
    assert logs == {"runner.out": said.encode(), "runner.err": b"e\n"}
    assert run.record["outcome"] == "exited"


@pytest.mark.parametrize(
    ("text", "seconds", "said"),
    [
        ("echo why >&2; false", 60.0, "setup: the setup failed: exit code 1: why"),
        ("sleep 600", 0.5, "setup: the setup did not end in 0.5 s"),
    ],
)
def test_a_setup_that_fails_leaves_nothing_and_no_supervisor(arm, text, seconds, said):
    run = arm("sh", "-c", "echo started", setup=asked("setsid sleep 600 & " + text, seconds))
    run.process.wait(60)

    assert run.said == said
    assert processes.find(run.run_id) == ([], [])


def test_what_a_setup_left_in_the_background_ends_with_a_job_that_does_not_start(arm):
    run = arm("true", setup=asked("setsid sleep 600 &"))
    # A process that is just becoming a program shows no environment.
    until(lambda: [len(found) for found in processes.find(run.run_id)] == [1, 1])
    run.connect().close()
    run.process.wait(60)

    assert run.record["outcome"] == "disarmed"
    assert processes.find(run.run_id) == ([], [])


def test_what_a_setup_left_in_the_background_ends_with_the_job(arm):
    run = arm("true", setup=asked("setsid sleep 600 &"))
    channel = run.connect()
    read(channel)
    channel.send(b"g")
    run.follow(channel)

    assert (run.record["outcome"], run.record["left_behind"]) == ("exited", [])
    assert processes.find(run.run_id) == ([], [])
