# SPDX-License-Identifier: Apache-2.0
"""The child of a supervisor that samples: it is no part of the job, and ends with it, whatever hangs."""

import os
import signal
import sys
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import usage
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, procfs, samples
from ansible_collections.madctl.multinode.plugins.module_utils._runs import measuring
from tests.unit.module_utils.real_supervisor import start

pytestmark = pytest.mark.slow

SOON = [
    ("_node/samples", "_FIRST_SECONDS, _TOOL_INTERVAL = 1.0", "_FIRST_SECONDS, _TOOL_INTERVAL = 0.05"),
    ("_supervise/sampler", "_CALM_SECONDS = 2.0", "_CALM_SECONDS = 0.0"),
]
JOB = ("sh", "-c", "echo output; exec sleep 600")


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def sampler(run):
    """Return the process that samples for a run, as soon as it is one."""
    own = run.process.pid
    name = processes.SAMPLER
    return wait_for(lambda: [pid for pid in processes.children(own) if comm(pid) == name])[0]


def comm(pid):
    return procfs.read(f"/proc/{pid}/comm").strip()


def is_alive(pid):
    return processes.stat(pid)[0] not in ("", "Z", "X")


def test_a_run_is_sampled_until_it_ends(arm):
    run = arm(*JOB, broken=SOON)
    channel = start(run)
    pid, path = sampler(run), run.run_dir / "samples.json"
    wait_for(lambda: samples.read(str(path)))
    # On a busy machine, the first sample may be older than the output.
    found = wait_for(lambda: [one for one in samples.read(str(path)) if one["job"]["output_age_seconds"] is not None])[
        0
    ]
    # Neither the lock, nor the output of the job, nor a directory that could not be unmounted, but while it measures.
    allowed = {"/dev/null", str(run.run_dir / "supervisor.log")}
    wait_for(lambda: {"/dev/null"} <= set(procfs.targets(procfs.open_files(pid))) <= allowed)
    name, nice = procfs.command_line(pid), int(procfs.fields(pid)[16])
    asked = {"run_id": run.run_id, "run_dir": str(run.run_dir), "asks_gpus": False}
    living = measuring.measure(asked)
    channel.send(b"s")
    run.follow(channel)
    over = measuring.measure(asked)

    assert found["job"]["processes"] == 1
    assert (name[:2], nice) == (["madctl", "samples"], 19)
    assert (living["state"], usage.is_measured(living["measured"]), usage.is_sample(living["kept"])) == (
        *("running", True, True),
    )
    assert (over["state"], over["measured"], usage.is_sample(over["kept"])) == ("exited", None, True)
    assert (run.record["left_behind"], is_alive(pid)) == ([], False)
    assert not (run.run_dir / "samples.json.partial").exists()


def test_it_is_not_taken_for_a_supervisor_or_a_part_of_the_job(arm):
    run = arm(*JOB)
    channel = start(run)
    pid = sampler(run)
    # A process that is just becoming a program shows no environment.
    wait_for(lambda: b"sleep" in map(comm, processes.children(run.process.pid)))
    supervisors, marked = processes.find(run.run_id)

    assert supervisors == [run.process.pid]
    assert pid not in marked
    assert len(marked) == 1
    channel.close()


def test_it_ends_with_a_supervisor_that_was_killed(arm):
    run = arm(*JOB)
    channel = start(run)
    pid = sampler(run)
    run.process.kill()
    run.process.wait(60)

    wait_for(lambda: not is_alive(pid))
    channel.close()


HANGS = """\
    import signal

    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(os.path.join(run_dir, "hung"), "w").write(str(os.getpid()))
        time.sleep(600)
    time.sleep(600)
    own = os.path"""


def test_what_hangs_below_it_is_not_reported_as_left_by_the_job_and_ends(arm):
    """As a vendor's tool does on a broken card."""
    run = arm(*JOB, broken=[*SOON, ("_node/samples", "    own = os.path", HANGS)])
    channel = start(run)
    path = run.run_dir / "hung"
    hung = int(wait_for(lambda: path.exists() and path.read_text()))
    channel.send(b"s")
    run.follow(channel)

    assert (run.record["outcome"], run.record["left_behind"], run.record["unseen"]) == ("exited", [], False)
    wait_for(lambda: not is_alive(hung))


def test_what_cannot_even_be_killed_below_it_does_not_hold_up_the_end_of_a_run(arm):
    never = ("_node/sessions", "        os.kill(pid, signal.SIGKILL)\n", "        pass\n")
    spared = ("_supervise/sampler", "self.helpers() - {self._running}, signal.SIGKILL", "(), signal.SIGKILL")
    run = arm(*JOB, broken=[*SOON, ("_node/samples", "    own = os.path", HANGS), never, spared])
    channel = start(run)
    path = run.run_dir / "hung"
    hung = int(wait_for(lambda: path.exists() and path.read_text()))
    try:
        channel.send(b"s")
        run.follow(channel)

        assert (run.record["outcome"], run.record["left_behind"], run.record["unseen"]) == ("exited", [], False)
        assert is_alive(hung), "otherwise nothing is shown"
    finally:
        os.kill(hung, signal.SIGKILL)


def test_a_process_of_the_job_cannot_hide_behind_its_name(arm):
    name = "import ctypes, os, time; ctypes.CDLL(None).prctl(15, b'madctl-samples'); os.setsid()"
    script = f"import os\nif os.fork() == 0:\n    {name}; time.sleep(600)"
    run = arm(sys.executable, "-c", script)
    channel = start(run)
    run.follow(channel)
    left = [pid for pid in procfs.numbered() if comm(pid) == processes.SAMPLER and processes.run_of(pid) == run.run_id]

    assert run.record["outcome"] == "exited"
    assert left == []


def test_a_job_goes_on_where_nothing_can_be_forked(arm):
    broken = ("_supervise/sampler", "            pid = os.fork()\n", "            raise OSError('no processes')\n")
    run = arm("sh", "-c", "echo done", broken=[broken])
    run.follow(start(run))

    assert run.record["exit_code"] == 0
    assert not (run.run_dir / "samples.json").exists()


@pytest.mark.parametrize("breaks", ["raise ValueError('x')", "os.kill(os.getpid(), 9)"])
def test_a_sampler_that_breaks_ends_alone(breaks, arm, tmp_path):
    line, gate = "    own = os.path", tmp_path / "gate"
    os.mkfifo(gate)
    run = arm("sh", "-c", f"read x < {gate}", broken=[*SOON, ("_node/samples", line, f"    {breaks}\n{line}")])
    channel = start(run)
    wait_for(lambda: len(processes.children(run.process.pid)) == 1)
    gate.write_text("go\n")
    run.follow(channel)

    assert (run.record["exit_code"], run.record["left_behind"]) == (0, [])
    assert (run.run_dir / "supervisor.log").read_text() == ""
