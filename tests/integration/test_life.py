# SPDX-License-Identifier: Apache-2.0
"""A run belongs to its nodes: it outlives the command that started it, and any later shell can see and end it."""

import os
import re
import signal
import subprocess
import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined
from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.host_processes import left_behind
from tests.integration.launchers import read_until, start
from tests.integration.run_answers import states

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records")]


def test_a_detached_run_is_seen_and_stopped_from_another_shell(lab, detached):
    assert states(detached) == {"node1": "running", "node2": "running"}
    listed = madctl("ps", "--output", "json").json["data"]["runs"]
    wait_for(lambda: madctl("logs").out.count("waiting") == 2)
    one = madctl("logs", "--host", "node2", "--rank", "1")
    stopped = madctl("stop")

    assert [(entry["run_id"], entry["status"]) for entry in listed] == [(detached, "running")]
    assert one.out.splitlines()[0].split() == ["node2:1", "│", "waiting", "1"]
    assert (stopped.code, "nothing is left on node[1-2]" in stopped.out) == (0, True)
    assert left_behind(lab) == []
    assert states(detached) == {"node1": "exited", "node2": "exited"}


def test_attach_shows_everything_from_the_first_byte_to_the_end(launch, on):
    launched = launch("--detach", "--", "report.py", "x y")
    wait_for(lambda: set(states(launched.json["run_id"]).values()) == {"exited"})
    assert madctl("ps", "--output", "json").json["data"]["runs"][0]["status"] == "succeeded"
    attached = madctl("attach", "--output", "json")
    again = madctl("attach", "--output", "json")

    assert attached.code == 0, attached.err
    assert attached.err.count("REPORT") == 2
    assert attached.json["data"]["ranks_joined"] == 2
    assert again.err.count("REPORT") == 2
    run_dir = launched.json["data"]["nodes"][0]["run_dir"]
    kept = on("node1", "cat", f"{run_dir}/logs/rank-0.out")
    shown = [line.partition("│ ")[2] for line in attached.err.splitlines() if line.startswith("node1:0")]
    assert shown == kept.splitlines()


def test_a_run_whose_launcher_is_killed_goes_on(lab):
    process = start(lab, "wait.py", "leak")
    read_until(process, "waiting")
    process.kill()
    process.wait()
    run_id = madctl("ps", "--output", "json").json["data"]["runs"][0]["run_id"]

    assert states(run_id) == {"node1": "running", "node2": "running"}
    assert madctl("stop").code == 0


# The second node fails after the first has succeeded.
LATE = 'test $NODE_RANK = 0 && exit; sleep 1; echo "OSError: the tape is full" >&2; echo bye >&2; exit 3'


def test_a_run_that_failed_unseen_reads_as_failed_everywhere(lab, launch, monkeypatch, tmp_path):
    """Its launcher let go, one node succeeded and the other failed."""
    run_id = launch("--detach", "--name", "tape-1", "--note", "night run", "--command", "--", "sh", "-c", LATE).json[
        "run_id"
    ]
    wait_for(lambda: set(states(run_id).values()) == {"exited"})
    listed = madctl("ps")
    shown = madctl("status")
    whole = madctl("status", "--exit-code", "--output", "json")
    attached = madctl("attach")
    failed = madctl("ps", "--failed", "-n", "1", "--output", "json").json["data"]["runs"]
    stopped = madctl("stop", "--output", "json")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    held = madctl("ps", "--lab", lab.name, "--hosts", "node1,node2", "--output", "json").json["data"]["runs"]
    there = madctl("status", "tape-1")

    cause = "node2: the command failed: exit code 3"
    first = re.compile(rf"failed after [\d.]+ s: {cause}: OSError: the tape is full\n")
    assert first.match(shown.out), shown.out
    assert shown.out.splitlines()[-5:] == [
        f"run     {run_id} (tape-1)",
        "note    night run",
        f"work    {joined(['sh', '-c', LATE])}",
        f"logs    madctl logs {run_id} --host node2",
        f"collect madctl collect {run_id}",
    ]
    about = whole.json["data"]["run"]
    assert (whole.code, whole.json["status"], about["status"], about["name"], about["note"]) == (
        *(6, "succeeded", "failed", "tape-1", "night run"),
    )
    assert about["cause"] == f"{cause}: OSError: the tape is full" and about["duration_seconds"] > 0.9
    assert re.search(rf"^{run_id}  tape-1  failed: {cause}  +\d.* s  .*  node\[1-2\]  sh", listed.out, re.M), listed.out
    assert attached.code == 6 and re.search(r"^done    failed after [\d.]+ s on 2 nodes$", attached.err, re.M)
    assert f"logs    madctl logs {run_id} --host node2\n" in attached.err
    assert [(one["run_id"], one["status"], one["cause"]) for one in failed] == [(run_id, "failed", cause)]
    assert (stopped.code, stopped.json["data"]["run"]["status"]) == (0, "failed")
    known = [(one["run_id"], one["name"], one["status"], one["cause"]) for one in held]
    assert (run_id, "tape-1", "failed", cause) in known
    assert first.match(there.out), there.out


def test_a_run_that_goes_on_and_one_whose_nodes_are_silent(detached_command, launch, on):
    shown = madctl("status")
    on("node2", "ip", "link", "set", "eno1", "down")
    try:
        listed = madctl("ps")
        silent = madctl("status", "--exit-code")
    finally:
        on("node2", "ip", "link", "set", "eno1", "up")
    whole = madctl("ps", "--output", "json").json["data"]["runs"][0]

    assert re.match(r"running for [\d.]+ (s|min)\n", shown.out)
    assert [line.split()[0] for line in shown.out.splitlines()[-5:]] == ["run", "work", "logs", "attach", "stop"]
    assert re.search(r"running \(as of \d\d:\d\d\)", listed.out), listed.out
    assert re.match(r"running for [\d.]+ (s|min); no answer from node2\n", silent.out) and "[NODE_SILENT]" in silent.err
    assert (whole["status"], whole["as_of"], whole["ended"]) == ("running", None, None)


def test_a_run_has_a_name_that_no_other_living_run_has(lab, launch):
    older = launch("--name", "big", "--command", "--", "echo", "older")
    begun = launch("--detach", "--name", "big", "--command", "--", "sleep", "300", hosts="node3,node4")
    assert (older.code, begun.code) == (0, 0), begun.err
    run_id = begun.json["run_id"]
    try:
        refused = launch("--name", "big", "--command", "--", "true")
        newest = madctl("status", "big", "--output", "json").json["run_id"]
    finally:
        stopped = madctl("stop", "big")
    again = launch("--name", "big", "--command", "--", "echo", "again")
    numbered = [madctl("status", back, "--output", "json").json["run_id"] for back in ("-1", "-2", "-3", "big")]

    assert (refused.code, refused.codes) == (2, ["NAME_IN_USE"]) and f"madctl stop {run_id}" in refused.err
    assert (newest, stopped.code) == (run_id, 0)
    assert numbered == [again.json["run_id"], run_id, older.json["run_id"], again.json["run_id"]]
    assert f"run     {again.json['run_id']} (big)\n" in again.err
    assert madctl("logs", "-3").out.count("older") == 2
    assert (madctl("status", "-4").code, madctl("status", "bigger").code) == (2, 2)
    assert [one["name"] for one in madctl("ps", "-n", "2", "--output", "json").json["data"]["runs"]] == ["big", "big"]


def test_a_launcher_that_is_hung_up_lets_go(lab):
    process = start(lab, "wait.py", "leak")
    read_until(process, "waiting")
    process.send_signal(signal.SIGHUP)
    output = process.stdout.read()

    assert process.wait(timeout=60) == 129, output
    assert "is still running\nattach  madctl attach " in output
    assert set(states(madctl("ps", "--output", "json").json["data"]["runs"][0]["run_id"]).values()) == {"running"}
    assert madctl("stop").code == 0


def test_a_stop_is_told_to_whoever_is_attached(lab, detached_command):
    process = subprocess.Popen([str(MADCTL), "attach"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    read_until(process, "waiting")
    assert madctl("stop").code == 0
    output = process.communicate(timeout=60)[0]

    assert process.returncode == 130, output
    assert "RUN_STOPPED" in output


def test_whoever_only_reads_does_not_stop_the_run(detached_command):
    process = subprocess.Popen([str(MADCTL), "logs", "-f"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    read_until(process, "waiting")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]

    assert process.returncode == 130, output
    assert states(detached_command) == {"node1": "running", "node2": "running"}


def test_a_killed_supervisor_is_seen_and_its_leftovers_are_ended(lab, detached, on):
    wait_for(lambda: madctl("logs").out.count("waiting") == 2)
    on("node2", "pkill", "-9", "-f", "/madctl_node.py supervisor")
    wait_for(lambda: states(detached) == {"node1": "running", "node2": "lost"})
    stopped = madctl("stop")

    assert stopped.code == 0, stopped.err
    assert left_behind(lab) == []


def test_a_second_launch_on_the_same_nodes_is_refused_and_the_first_goes_on(detached_command, launch):
    second = launch("--master-port", "auto", "--", "report.py", hosts="node2,node4")

    assert (second.code, second.codes) == (3, ["NODE_BUSY"])
    assert detached_command in second.json["errors"][0]["message"]
    assert states(detached_command) == {"node1": "running", "node2": "running"}


def test_a_node_that_does_not_answer_is_never_taken_for_stopped(detached_command, on):
    on("node2", "ip", "link", "set", "eno1", "down")
    try:
        done = madctl("stop", "--output", "json")
    finally:
        on("node2", "ip", "link", "set", "eno1", "up")

    assert (done.code, done.codes) == (9, ["STOP_UNVERIFIED"])
    assert done.json["errors"][0]["host"] == "node2"
    assert done.json["data"]["stopped"] == ["node1"]
    assert madctl("stop").code == 0


def test_runs_without_the_command_line(lab, detached_command, tmp_path):
    from madctl.lab import state

    playbook = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    common = ["-i", str(state.directory(lab.name) / "inventory.yml"), "--limit", "node1,node2"]
    common += ["-e", f"madctl_run_id={detached_command}"]

    def play(name, *more):
        argv = [playbook, f"madctl.multinode.{name}", *common, *more]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=JOBS)

    wait_for(lambda: play("logs").stdout.count("waiting") == 2)
    status = play("status")
    stop = play("stop")

    assert "node1  running" in status.stdout
    assert stop.returncode == 0, stop.stdout
    assert left_behind(lab) == []


@pytest.mark.parametrize("command", ["status", "logs", "attach", "stop"])
def test_an_unknown_run_is_a_usage_error(command):
    done = madctl(command, "20010101-000000")

    assert done.code == 2
    assert "RUN_UNKNOWN" in done.err


def test_logs_and_records_are_collected_byte_for_byte(launch, on, tmp_path):
    launched = launch("--", "report.py")
    collected = madctl("collect", "--to", str(tmp_path / "run"), "--output", "json")

    assert (collected.code, collected.codes) == (0, []), collected.err
    run_dir = launched.json["data"]["nodes"][1]["run_dir"]
    assert (tmp_path / "run" / "node2" / "logs" / "rank-1.out").read_text() == on(
        "node2", "cat", f"{run_dir}/logs/rank-1.out"
    )
    assert (tmp_path / "run" / "node1" / "exit.json").exists()


def test_logs_of_a_silent_node_are_missed_and_not_passed_over(detached_command, on):
    on("node2", "ip", "link", "set", "eno1", "down")
    try:
        done = madctl("logs")
    finally:
        on("node2", "ip", "link", "set", "eno1", "up")

    assert (done.code, "node2: " in done.err, "NODE_SILENT" in done.err) == (4, True, True), done.err


def test_a_run_that_is_gone_from_a_node_is_said_to_be(lab, launch, on):
    done = launch("--command", "--", "true")
    assert left_behind(lab) == []  # Supervisors remove files until they end.
    on("node2", "rm", "-r", done.json["data"]["nodes"][1]["run_dir"])
    attached = madctl("attach", "--output", "json")
    logs = madctl("logs")

    assert (attached.code, attached.codes) == (2, ["RUN_UNKNOWN"])
    assert attached.json["errors"][0]["host"] == "node2"
    assert (logs.code, "node2: /var/tmp/" in logs.err and "does not exist" in logs.err) == (4, True), logs.err


def test_a_run_that_no_node_holds_is_stopped(lab, launch, on):
    # So it is after a launcher was killed before it had armed the nodes.
    done = launch("--command", "--", "true")
    assert left_behind(lab) == []
    for number, host in enumerate(("node1", "node2")):
        on(host, "rm", "-r", done.json["data"]["nodes"][number]["run_dir"])
    stopped = madctl("stop")

    assert (stopped.code, stopped.err) == (0, "")
    assert "nothing is left on node[1-2]" in stopped.out


def test_attach_waits_for_a_node_whose_link_is_down(detached, on):
    on("node2", "ip", "link", "set", "eno1", "down")
    process = subprocess.Popen([str(MADCTL), "attach"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        read_until(process, "node2 does not answer")
    finally:
        on("node2", "ip", "link", "set", "eno1", "up")
    read_until(process, "node2:1")
    assert madctl("stop").code == 0
    assert process.wait(60) == 130
    process.stdout.close()
