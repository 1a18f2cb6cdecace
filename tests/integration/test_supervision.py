# SPDX-License-Identifier: Apache-2.0
"""
What becomes of a run when things break in the middle of it, on real hosts.

Every test ends with the same question, asked past SSH: is anything of a run left on any host?
"""

import os
import signal
import subprocess
import time

import pytest

from madctl.lab import power
from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.host_processes import is_supervisor, left_behind, processes_of, sleepers
from tests.integration.launchers import FOLLOWERS, WAITING, follow, launching, read_until, start
from tests.integration.run_answers import running, states

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]


def in_long_mode(*values):
    """Mark further values of a parameter, of which the first ones show that it works at all."""
    return [pytest.param(value, marks=pytest.mark.long) for value in values]


# -- failures of the job --------------------------------------------------------------------------


def test_the_first_failure_is_named_and_its_victims_are_folded(launch):
    done = launch("--", "victims.py", hosts="node1,node2,node3")

    assert (done.code, done.codes) == (6, ["RANK_FAILED"]), done.err
    error = done.json["errors"][0]
    assert (error["host"], error["rank"], error["exit_code"]) == ("node2", 1, 9)
    assert done.json["data"]["victims"] in ({}, {"node1": 1}, {"node3": 1}, {"node1": 1, "node3": 1})


def test_the_error_file_of_the_first_failure_is_shown(launch):
    done = launch("--", "recorded.py")

    assert (done.code, done.json["errors"][0]["rank"]) == (6, 1)
    assert "error of node2 rank 1:" in done.err
    assert "ValueError: the loss is nan" in done.err


def test_a_kill_for_want_of_memory_is_called_that(launch, lab):
    group = f"{lab.name}-hungry"
    try:
        done = launch("--", "hungry.py", group)
    finally:
        os.rmdir(f"/sys/fs/cgroup/memory/{group}")

    assert (done.code, done.codes) == (6, ["RANK_FAILED"]), done.err
    assert "rank 1 failed: out of memory, killed by the kernel" in done.json["errors"][0]["message"]


@pytest.mark.parametrize("kind", ["deaf", *in_long_mode("daemon", "bare")])
def test_what_a_job_leaves_behind_is_ended(launch, kind, lab):
    done = launch("--", "stray.py", kind, "exit", "0")

    assert done.code == 0, done.err
    assert sleepers(lab) == []


@pytest.mark.parametrize("kind", ["daemon", "bare", "deaf"])
def test_what_a_job_started_is_ended_when_it_fails(launch, kind, lab):
    done = launch("--", "stray.py", kind, "exit", "7")

    assert done.code == 6, done.err
    assert sleepers(lab) == []


def test_a_runner_that_is_missing_on_one_node_starts_nothing_for_long(launch, on):
    on("node2", "mkdir", "-p", "/opt/work")
    on("node2", "sh", "-c", "printf '#!/bin/sh\nexec sleep 300\n' > /opt/work/tool; chmod 755 /opt/work/tool")
    try:
        done = launch("--skip", "entry", "--command", "--", "/opt/work/tool")
    finally:
        on("node2", "rm", "-r", "/opt/work")

    assert done.code == 5, done.err
    assert [(e["code"], e["host"]) for e in done.json["errors"]] == [("START_FAILED", "node1")]


# -- who supervises is killed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("victim", "code", "name"),
    [
        ("/madctl_node.py supervisor", 7, "SUPERVISOR_LOST"),
        ("torch.distributed.run", 6, "RANK_FAILED"),
    ],
)
def test_a_killed_process_of_ours_ends_the_run(lab, on, victim, code, name):
    process, _ = follow(lab, "--output", "json", "--", "wait.py", "leak")
    on("node2", "pkill", "-9", "-f", victim)
    output, _ = process.communicate(timeout=120)

    assert process.returncode == code, output
    assert name in output
    assert '"host": "node2"' in output
    assert sleepers(lab) == []


# -- links and power ------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [1, *in_long_mode(3)])
def test_a_link_that_is_cut_and_mended_costs_no_byte(lab, on, tmp_path, cuts):
    """In one attachment: what was shown is what the node has, in order, once."""
    done = madctl(*launching(lab, "node1,node2"), "--detach", "--output", "json", "--", "count.py", str(20 + 40 * cuts))
    run_id, run_dir = done.json["run_id"], done.json["data"]["nodes"][1]["run_dir"]
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen([str(MADCTL), "attach", run_id], stdout=stdout, stderr=stderr)
        FOLLOWERS.append(process)
        for cut in range(1, cuts + 1):
            wait_for(lambda cut=cut: process.poll() is None and out.read_bytes().count(b"node2:1") > 50 * cut)
            on("node2", "ip", "link", "set", "eno1", "down")
            try:
                # At least: a machine that stands still for a while may make a cut of its own.
                wait_for(lambda cut=cut: err.read_text().count("node2 does not answer") >= cut)
            finally:
                on("node2", "ip", "link", "set", "eno1", "up")
            wait_for(lambda cut=cut: err.read_text().count("node2 is back") >= cut)
        assert process.wait(120) == 0, err.read_text()
    shown = [line.partition("│ ")[2] for line in out.read_text().splitlines() if line.startswith("node2:1")]

    assert "\n".join(shown) + "\n" == on("node2", "cat", f"{run_dir}/logs/rank-1.out")


def test_a_node_without_power_is_lost_and_the_others_are_stopped(own_lab):
    process, _ = follow(own_lab, "--output", "json", "--", "wait.py", "leak")
    power.power_off(own_lab.host("node3"))
    output, _ = process.communicate(timeout=180)

    assert process.returncode == 7, output
    assert '"code": "NODE_LOST", "host": "node3"' in output
    assert "node3 does not answer" in output
    assert [entry for entry in left_behind(own_lab) if entry[0] != "node3"] == []


@pytest.mark.long
def test_the_machine_s_own_link_is_no_loss_of_nodes(lab, on):
    """When all nodes fall silent at once, none is called lost."""
    process, run_id = follow(lab, "--", "wait.py", hosts="node1,node2")
    for host in ("node1", "node2"):
        on(host, "ip", "link", "set", "eno1", "down")
    read_until(process, "node1 does not answer")
    time.sleep(45)  # Longer than a single node would have had.
    for host in ("node1", "node2"):
        on(host, "ip", "link", "set", "eno1", "up")
    read_until(process, "node1 is back")
    running(lab, run_id)
    assert madctl("stop", run_id).code == 0
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 130, output


# -- time -----------------------------------------------------------------------------------------


def test_a_silent_job_has_its_stacks_written_and_is_stopped(launch, on):
    done = launch("--idle-timeout", "25", "--", "wait.py")

    assert (done.code, done.codes) == (8, ["TIMED_OUT"]), done.err
    run_dir = done.json["data"]["nodes"][1]["run_dir"]
    assert "wait.py" in on("node2", "cat", f"{run_dir}/logs/rank-1.stack")


def test_a_time_limit_holds_when_nobody_follows(launch):
    done = launch("--timeout", "15", "--detach", "--", "wait.py", "leak")
    run_id = done.json["run_id"]
    wait_for(lambda: set(states(run_id).values()) == {"exited"}, 120)
    attached = madctl("attach", run_id, "--output", "json")

    assert (attached.code, attached.codes) == (8, ["TIMED_OUT"])


# -- signals --------------------------------------------------------------------------------------


def test_the_third_interrupt_lets_go_and_says_how_to_finish(lab):
    process = start(lab, "wait.py", "stubborn")
    read_until(process, WAITING, 2)
    # Frozen supervisors obey nothing, so that there is a third time.
    frozen = [pid for host in lab.hosts for pid in processes_of(host.init_pid) if is_supervisor(pid)]
    assert len(frozen) == 2
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        for marker in ("Ctrl-C again to kill", "Ctrl-C again to detach", "is still running"):
            process.send_signal(signal.SIGINT)
            read_until(process, marker)
        assert process.wait(60) == 130
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert madctl("stop", "--force").code == 0


def test_a_terminated_launcher_lets_go(lab):
    process = start(lab, "wait.py", "leak")
    read_until(process, "waiting")
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]

    assert process.returncode == 143, output
    assert "is still running\nattach  madctl attach " in output
    assert madctl("stop").code == 0


def playing(lab):
    """List Ansible's processes for a lab, also those whose launcher is gone."""
    argv = ["pgrep", "-f", f"ansible-playbook .*/{lab.name}/"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()


@pytest.mark.parametrize("marker", ["probe ", "arm ", "waiting", *in_long_mode("plan ", "go ", "stopping all nodes")])
def test_a_launcher_killed_at_any_event_leaves_what_status_and_stop_can_handle(lab, marker):
    process = start(lab, "wait.py", "leak")
    read_until(process, "waiting" if marker == "stopping all nodes" else marker)
    if marker == "stopping all nodes":
        process.send_signal(signal.SIGINT)
        read_until(process, marker)
    process.kill()
    process.wait()
    # Ansible's processes end without a listener; what they arm at that moment disarms itself.
    runs = madctl("ps", "--output", "json").json["data"]["runs"]
    if marker == "probe ":
        assert runs == [] or madctl("stop").code == 0
        # Nothing told them to stop, so what is looked for on hosts afterwards is settled only when they are gone.
        wait_for(lambda: not playing(lab))
        return
    assert madctl("status").code == 0
    assert madctl("stop").code == 0
    attached = madctl("attach", "--output", "json")
    assert attached.code != 0
    assert attached.json["run_id"] == runs[-1]["run_id"]


def test_a_run_goes_on_when_ansible_is_killed(lab):
    process, run_id = follow(lab, "--command", "--", "sh", "-c", "echo waiting; sleep 300")
    (first, *_) = subprocess.check_output(
        ["pgrep", "-P", str(process.pid), "-f", "ansible-playbook"], text=True
    ).split()
    os.kill(int(first), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)

    assert process.returncode == 1, output
    assert (
        f"the run may still be running; see madctl status {run_id} or stop it with madctl stop {run_id} [INTERNAL]"
        in output
    )
    wait_for(lambda: not playing(lab))
    assert set(states(run_id).values()) == {"running"}
    assert madctl("ps", "--output", "json").json["data"]["runs"][0]["status"] == "running"
    assert madctl("stop").code == 0


# -- two at once ----------------------------------------------------------------------------------


def test_two_launches_at_once_never_half_start(lab):
    argv = [str(MADCTL), *launching(lab, "node1,node2,node3"), "--output", "json", "--master-port"]
    both = [
        subprocess.Popen([*argv, port, "--", "stray.py", "exit", "0"], cwd=JOBS, stdout=-1, stderr=-1, text=True)
        for port in ("29500", "29501")
    ]
    ends = [process.communicate(timeout=120) for process in both]
    codes = [process.returncode for process in both]

    assert all(code in (0, 3, 5) for code in codes), ends
    for (_, said), code in zip(ends, codes, strict=True):
        assert ("strayed" in said) == (code == 0), said
        assert code == 0 or "is here" in said or "used by run" in said
