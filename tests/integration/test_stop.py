# SPDX-License-Identifier: Apache-2.0
"""A stop proves that nothing is left and that nothing starts later: on real hosts, where only they show it."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import processes
from madctl.lab import state
from tests.integration.command import JOBS, MADCTL, madctl, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records")]


def signal_tree(pid, number):
    """Signal a process and its descendants, the process first if it must freeze."""
    for each in [pid, *processes.descendants(pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, number)


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_what_is_stopped_before_nodes_are_armed_never_starts(lab, on, tmp_path, force):
    words = ["launch", "--lab", lab.name, "--hosts", "node1,node2", "--python", sys.executable, "--command"]
    argv = [str(MADCTL), *words, "--", "sh", "-c", "echo started; sleep 20"]
    dropping = ("INPUT", "-s", lab.host("node2").data_address, "-p", "tcp", "-j", "DROP")
    on("node1", "iptables", "-A", *dropping)
    process = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        try:
            # The run is remembered as soon as it is planned. The first node is armed only after the second one has
            # connected to it, which takes as long as the packets are dropped, and is tried for some seconds.
            wait_for(lambda: process.poll() is not None or list(tmp_path.glob("state/madctl/runs/*.json")))
            signal_tree(process.pid, signal.SIGSTOP)
        finally:
            on("node1", "iptables", "-D", *dropping)
        [record] = tmp_path.glob("state/madctl/runs/*.json")
        run_id = record.stem
        before = on("node1", "sh", "-c", f"ls /var/tmp/madctl-0/{run_id} 2>/dev/null; true")
        stopped = madctl("stop", *force)
    finally:
        signal_tree(process.pid, signal.SIGCONT)
    output = process.communicate(timeout=120)[0]
    seen = madctl("status", "--output", "json").json["data"]["nodes"]

    assert before == "", "it was armed already: this shows nothing"
    assert (stopped.code, "nothing is left on node[1-2]" in stopped.out) == (0, True), stopped.err
    assert process.returncode == 130, output
    assert "the run was stopped before it started [RUN_STOPPED]" in output
    assert "started on" not in output
    assert [(node["state"], node["exit"]["outcome"], node["exit"]["stopped"]) for node in seen] == [
        ("exited", "disarmed", True)
    ] * 2
    assert madctl("stop").code == 0


SUROOT = """\
#include <unistd.h>
#include <stdlib.h>
int main(int n, char **v) { if (setuid(0)) return 1; execvp(v[1], v + 1); return 1; }
"""


@pytest.fixture
def become_root(on):
    """Create a program that becomes root for any user, as sudo does, and return it with a user who runs it."""
    program = "/var/tmp/suroot"
    on("node2", "sh", "-c", "id train >/dev/null 2>&1 || useradd -m -u 2001 train; usermod -p '*' train")
    on(
        "node2",
        "sh",
        "-c",
        f"cat > {program}.c <<'END'\n{SUROOT}END\ngcc -o {program} {program}.c; chmod 4755 {program}",
    )
    yield program
    on("node2", "sh", "-c", f"rm -f {program} {program}.c")


def test_a_job_that_became_root_is_told_of_and_never_called_gone(launch, on, become_root):
    options = ["--user", "train", "--detach", "--command", "--", become_root]
    done = launch(*options, "sleep", "600", hosts="node2")
    assert done.code == 0, done.err
    try:
        stopped = madctl("stop")
        again = madctl("stop")
        seen = madctl("status", "--output", "json").json["data"]["nodes"][0]
    finally:
        on("node2", "pkill", "-9", "-f", "sleep 600", check=False)

    assert [(stopped.code, "(sleep, state S" in stopped.err), (again.code, "(sleep, state S" in again.err)] == [
        (9, True),
        (9, True),
    ], stopped.err + again.err
    assert (seen["state"], seen["exit"]["stopped"], seen["exit"]["exit_code"]) == ("exited", True, None)
    wait_for(lambda: madctl("stop").code == 0)


def test_what_a_job_puts_beside_its_logs_hides_none(launch, on):
    script = "cd $MADCTL_RUN_DIR/logs; mkdir tb rank-9.out; mkfifo p rank-8.out; ln -s /dev/zero rank-7.out; echo one"
    done = launch("--detach", "--command", "--", "sh", "-c", script + "; sleep 1; echo two", hosts="node1")
    attached = madctl("attach")
    logs = madctl("logs")

    assert done.code == 0, done.err
    assert (attached.code, "is back" in attached.err) == (0, False), attached.err
    assert (logs.code, [line.split()[-1] for line in logs.out.splitlines()]) == (0, ["one", "two"]), logs.err
    wait_for(lambda: on("node1", "sh", "-c", "pgrep -f '^madctl agent' || true") == "")


def test_playbooks_start_nothing_that_was_stopped_before(lab, on):
    playbook = MADCTL.with_name("ansible-playbook")
    common = ["-i", str(state.directory(lab.name) / "inventory.yml"), "--limit", "node1,node2"]
    work = {"madctl_run_id": "chosen", "madctl_work": ["sh", "-c", "echo started"], "madctl_shape": "command"}

    def play(name):
        argv = [str(playbook), f"madctl.multinode.{name}", *common, "-e", json.dumps(work)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=JOBS)

    stopped, launched = play("stop"), play("launch")
    places = on("node1", "sh", "-c", "ls /var/tmp/madctl-0/chosen; rm -r /var/tmp/madctl-0/chosen")
    on("node2", "rm", "-r", "/var/tmp/madctl-0/chosen")

    assert (stopped.returncode != 0, "run chosen not found on this node" in stopped.stdout) == (True, True), (
        stopped.stdout
    )
    assert "RUN_STOPPED" in launched.stdout, launched.stdout
    assert (launched.returncode, places.split()) == (2, ["exit.json", "stopped"])
