# SPDX-License-Identifier: Apache-2.0
"""
What becomes of a run when things break in the middle of it, on real hosts.

Every test ends with the same question, asked past SSH: is anything of a run left on any host?
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from madctl.lab import power, state
from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.host_processes import is_supervisor, left_behind, processes_of, sleepers
from tests.integration.launchers import FOLLOWERS, follow, launching, read_until, start
from tests.integration.run_answers import running, states

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]

UNIT = "madctl-"


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


@pytest.mark.parametrize("kind", ["daemon", "bare", "deaf"])
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
    output, _ = process.communicate(timeout=60)

    assert process.returncode == code, output
    assert name in output
    assert '"host": "node2"' in output
    assert sleepers(lab) == []


# -- links and power ------------------------------------------------------------------------------


def test_a_link_that_is_cut_and_mended_costs_no_byte(lab, on, tmp_path):
    """Three cuts in one attachment: what was shown is what the node has, in order, once."""
    done = madctl(*launching(lab, "node1,node2"), "--detach", "--output", "json", "--", "count.py", "90")
    run_id, run_dir = done.json["run_id"], done.json["data"]["nodes"][1]["run_dir"]
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen([str(MADCTL), "attach", run_id], stdout=stdout, stderr=stderr)
        FOLLOWERS.append(process)
        for cut in range(1, 4):
            wait_for(lambda cut=cut: process.poll() is None and out.read_bytes().count(b"node2:1") > 50 * cut)
            on("node2", "ip", "link", "set", "eno1", "down")
            try:
                wait_for(lambda cut=cut: err.read_text().count("does not answer") == cut, 60)
            finally:
                on("node2", "ip", "link", "set", "eno1", "up")
            wait_for(lambda cut=cut: err.read_text().count("node2 is back") == cut, 60)
        assert process.wait(120) == 0, err.read_text()
    shown = [line.partition("│ ")[2] for line in out.read_text().splitlines() if line.startswith("node2:1")]

    assert "\n".join(shown) + "\n" == on("node2", "cat", f"{run_dir}/logs/rank-1.out")


def test_a_node_without_power_is_lost_and_the_others_are_stopped(own_lab):
    process, _ = follow(own_lab, "--output", "json", "--", "wait.py", "leak")
    power.power_off(own_lab.host("node3"))
    begun = time.monotonic()
    output, _ = process.communicate(timeout=90)

    assert process.returncode == 7, output
    assert time.monotonic() - begun < 60, "a promise to users, not a measure of speed"
    assert '"code": "NODE_LOST", "host": "node3"' in output
    assert "node3 does not answer" in output
    assert [entry for entry in left_behind(own_lab) if entry[0] != "node3"] == []


def test_the_machine_s_own_link_is_no_loss_of_nodes(lab, on):
    """When all nodes fall silent at once, nobody says that they are lost."""
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


# -- output ---------------------------------------------------------------------------------------


def test_a_flood_neither_blocks_the_job_nor_is_kept_beyond_the_cap(launch, on):
    done = launch("--log-cap", "64M", "--", "flood.py", str(1 << 30), timeout=300)

    assert done.code == 0, done.err[-2000:]
    run_dir = done.json["data"]["nodes"][0]["run_dir"]
    sizes = on("node1", "sh", "-c", f"cat {run_dir}/logs/rank-0.out* | wc -c").split()
    assert (48 << 20) < int(sizes[0]) < (66 << 20)
    last = on("node1", "sh", "-c", f"tail -qc 8 $(ls -v {run_dir}/logs/rank-0.out.[0-9]* | tail -1)")
    assert last == "the end\n"
    assert on("node1", "cat", f"{run_dir}/exit.json").count('"bytes_lost": 0') == 1


def test_no_byte_harms_the_terminal_and_files_keep_all(launch, on):
    done = launch("--", "bytes.py", timeout=300)

    assert done.code == 0, done.err[-2000:]
    assert "\x1b" not in done.err
    assert "\0" not in done.err
    run_dir = done.json["data"]["nodes"][0]["run_dir"]
    size = on("node1", "sh", "-c", f"wc -c < {run_dir}/logs/rank-0.out")
    assert int(size) == 50_000_001 + len(b"nul \x00 end\n\xff\xfe invalid\n\x1b[2J\x1b[31mred\n10%\r50%\r100%\n")


# Fills the disk under its own logs, then prints 64 MB.
FILL = "fallocate -l 1097M $MADCTL_RUN_DIR/filler; head -c 67108864 /dev/zero | tr '\\0' x; rm $MADCTL_RUN_DIR/filler"


def test_a_full_disk_costs_lines_and_neither_the_job_nor_its_record(launch, on):
    on("node1", "sh", "-c", "mkdir -p /mnt/small && mount -t tmpfs -o size=1100m tmpfs /mnt/small")
    try:
        done = launch("--run-dir", "/mnt/small", "--command", "--", "sh", "-c", FILL, hosts="node1")
        record = json.loads(on("node1", "sh", "-c", "cat /mnt/small/*/exit.json"))
    finally:
        on("node1", "umount", "/mnt/small")

    assert done.code == 0, done.err[-2000:]
    assert "node1: the disk is full" in done.err
    assert record["exit_code"] == 0
    assert 50 << 20 < record["bytes_lost"] < 64 << 20


# -- time -----------------------------------------------------------------------------------------


def test_a_silent_job_has_its_stacks_written_and_is_stopped(launch, on):
    done = launch("--idle-timeout", "15", "--", "wait.py")

    assert (done.code, done.codes) == (8, ["TIMED_OUT"]), done.err
    run_dir = done.json["data"]["nodes"][1]["run_dir"]
    assert "wait.py" in on("node2", "cat", f"{run_dir}/logs/rank-1.stack")


def test_a_time_limit_holds_when_nobody_follows(lab, launch):
    done = launch("--timeout", "15", "--detach", "--", "wait.py", "leak")
    run_id = done.json["run_id"]
    running(lab, run_id)
    wait_for(lambda: set(states(run_id).values()) == {"exited"}, 90)
    attached = madctl("attach", run_id, "--output", "json")

    assert (attached.code, attached.codes) == (8, ["TIMED_OUT"])


# -- signals --------------------------------------------------------------------------------------


def test_the_third_interrupt_lets_go_and_says_how_to_finish(lab):
    process = start(lab, "wait.py", "stubborn")
    read_until(process, "waiting")
    # Frozen supervisors obey nothing, so that there is a third time.
    frozen = [pid for host in lab.hosts for pid in processes_of(host.init_pid) if is_supervisor(pid)]
    assert len(frozen) == 2
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        for marker in ("Ctrl-C again to kill", "Ctrl-C again to let go", "goes on"):
            process.send_signal(signal.SIGINT)
            read_until(process, marker)
        assert process.wait(30) == 130
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert madctl("stop", "--force").code == 0


def test_a_terminated_launcher_lets_go(lab):
    process = start(lab, "wait.py", "leak")
    read_until(process, "waiting")
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)[0]

    assert process.returncode == 143, output
    assert "goes on: madctl attach" in output
    assert madctl("stop").code == 0


@pytest.mark.parametrize("marker", ["probe ", "plan ", "arm ", "go ", "waiting", "telling all nodes"])
def test_a_launcher_killed_at_any_event_leaves_what_status_and_stop_can_handle(lab, marker):
    process = start(lab, "wait.py", "leak")
    read_until(process, "waiting" if marker == "telling all nodes" else marker)
    if marker == "telling all nodes":
        process.send_signal(signal.SIGINT)
        read_until(process, marker)
    process.kill()
    process.wait()
    # Ansible's own processes end when nobody listens; what they arm at that moment disarms itself.
    runs = madctl("ps", "--output", "json").json["data"]["runs"]
    if marker == "probe ":
        assert runs == [] or madctl("stop").code == 0
        return
    assert madctl("status").code == 0
    assert madctl("stop").code == 0
    attached = madctl("attach", "--output", "json")
    assert attached.code != 0
    assert attached.json["run_id"] == runs[-1]["run_id"]


def test_a_run_goes_on_when_ansible_is_killed(lab):
    process, run_id = follow(lab, "--command", "--", "sh", "-c", "echo waiting; sleep 300")
    ansible = ["pgrep", "-f", f"ansible-playbook .*/{lab.name}/"]
    (first, *_) = subprocess.check_output(
        ["pgrep", "-P", str(process.pid), "-f", "ansible-playbook"], text=True
    ).split()
    os.kill(int(first), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 1, output
    assert f"the run may go on: madctl status {run_id}, madctl stop {run_id} [INTERNAL]" in output
    wait_for(lambda: subprocess.run(ansible, capture_output=True, check=False).stdout == b"")
    assert set(states(run_id).values()) == {"running"}
    assert madctl("ps", "--output", "json").json["data"]["runs"][-1]["status"] == "running"
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
        assert code == 0 or "is here" in said


# -- secrets --------------------------------------------------------------------------------------

# Not written down anywhere: hosts of a lab see this very file where the checkout lies.
CANARY = f"canary-{uuid.uuid4().hex}"


def test_a_secret_is_nowhere_but_in_the_job(lab, on, tmp_path):
    done = madctl(
        *launching(lab, "node1,node2"),
        "--env",
        "HF_TOKEN",
        "--detach",
        "--output",
        "json",
        "--",
        "wait.py",
        env={"HF_TOKEN": CANARY},
    )
    assert done.code == 0, done.err
    try:
        wait_for(lambda: madctl("logs").out.count("waiting") == 2)
        assert CANARY not in done.out + done.err
        for host in ("node1", "node2"):
            places = "/var/tmp/madctl-0 /tmp /run /root/.ansible"
            mark = f"{CANARY[:-1]}[{CANARY[-1]}]"  # Does not find itself in the command line that looks.
            look = f"cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep {mark}; grep -r {mark} {places}"
            assert on(host, "sh", "-c", look, check=False) == ""
        argv = ["grep", "-r", CANARY, os.environ["XDG_STATE_HOME"]]
        assert subprocess.run(argv, capture_output=True, text=True).stdout == ""
        assert madctl("status", "--output", "json").out.count(CANARY) == 0
    finally:
        assert madctl("stop", "--force").code == 0


def test_a_launcher_that_is_killed_leaves_no_secret(lab, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", CANARY)
    private = Path(os.environ["TMPDIR"])
    before = set(private.glob("madctl-*"))
    process, _ = follow(lab, "--env", "HF_TOKEN", "--", "wait.py", hosts="node1,node2")
    process.kill()
    process.wait()
    places = set(private.glob("madctl-*")) - before
    found = subprocess.run(
        ["grep", "-r", CANARY, *places, os.environ["XDG_STATE_HOME"]], capture_output=True, text=True
    )
    stopped = madctl("stop", "--force")
    for place in places:
        shutil.rmtree(place, ignore_errors=True)  # Ansible, which was not killed, may be quicker.

    assert places
    assert found.stdout == ""
    assert stopped.code == 0


def test_a_secret_that_the_job_prints_is_masked_on_the_screen(lab):
    argv = [*launching(lab, "node1"), "--env", "HF_TOKEN", "--command", "--", "sh", "-c", "echo token is $HF_TOKEN"]
    done = madctl(*argv, env={"HF_TOKEN": CANARY})

    assert "token is ***" in done.out
    assert CANARY not in done.out + done.err


def test_a_secret_is_in_no_word_that_a_playbook_says(lab, tmp_path):
    playbook = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    inventory = str(state.directory(lab.name) / "inventory.yml")
    variables = tmp_path / "variables.json"
    variables.write_text(
        json.dumps({"madctl_work": ["true"], "madctl_shape": "command", "madctl_env": {"HF_TOKEN": CANARY}})
    )
    argv = [
        playbook,
        "-vvvvv",
        "madctl.multinode.launch",
        "-i",
        inventory,
        "--limit",
        "node1,node2",
        "-e",
        f"@{variables}",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=JOBS)

    assert done.returncode == 0, done.stdout[-3000:]
    assert CANARY not in done.stdout + done.stderr


def test_a_reader_that_leaves_early_changes_neither_the_run_nor_its_code(lab):
    words = [str(MADCTL), *launching(lab, "node1,node2"), "--", "count.py", "3"]
    process = subprocess.Popen(words, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()

    assert process.wait(60) == 0, said
    assert "2 of 2 ranks joined" in said


def test_a_screen_that_takes_nothing_does_not_delay_the_stop(lab):
    """A pager waits at its first page while a rank fails."""
    words = [str(MADCTL), *launching(lab, "node1,node2"), "--", "flood.py", str(256 << 20)]
    process = subprocess.Popen(words, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    run_id = madctl("ps", "--output", "json").json["data"]["runs"][-1]["run_id"]
    wait_for(lambda: set(states(run_id).values()) == {"exited"}, 60)
    output = process.stdout.read()
    said = process.stderr.read().decode()

    assert process.wait(60) == 0, said
    assert b"not shown; they are in the file" in output


@pytest.fixture(scope="module")
def ended_run(lab, tmp_path_factory):
    """A run that ended and left more than any buffer on the way holds, and where it is remembered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        words = ["--detach", "--output", "json", "--", "flood.py", str(100 << 20)]
        run_id = madctl(*launching(lab, "node1,node2"), *words).json["run_id"]
        wait_for(lambda: set(states(run_id).values()) == {"exited"}, 60)
        return run_id, os.environ["XDG_STATE_HOME"]


@pytest.fixture
def long_log(ended_run, monkeypatch):
    """Remember that run; its log is read, and stays as it is."""
    monkeypatch.setenv("XDG_STATE_HOME", ended_run[1])
    return ended_run[0]


def test_logs_end_with_their_reader(long_log):
    process = subprocess.Popen([str(MADCTL), "logs", long_log], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(20) == 0, process.stderr.read()


def test_who_is_attached_to_a_stopped_screen_can_still_leave(long_log):
    process = subprocess.Popen([str(MADCTL), "attach", long_log], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 143, process.stderr.read()
    process.stdout.close()


def test_every_byte_of_a_long_log_reaches_a_slow_reader(long_log):
    process = subprocess.Popen([str(MADCTL), "attach", long_log], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = 0
    for line in process.stdout:
        lines += b"\xe2\x94\x82 xxxx" in line

    assert (process.wait(20), lines) == (0, (100 << 20) // 1024)
