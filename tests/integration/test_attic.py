# SPDX-License-Identifier: Apache-2.0
"""Nodes know their runs when the login node has forgotten them, and lose what is old."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.command import JOBS, madctl, wait_for
from tests.integration.host_processes import left_behind
from tests.integration.run_answers import states

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records")]


@pytest.fixture(autouse=True)
def clean(lab, on):
    """Begin with nodes that hold no run."""
    for host in lab.hosts:
        on(host.name, "sh", "-c", "rm -rf /var/tmp/madctl-0")


@pytest.fixture
def asked(lab):
    """Ask hosts of the lab."""

    def ask(command, *words, hosts="node1,node2"):
        return madctl(command, "--lab", lab.name, "--hosts", hosts, *words)

    return ask


def forget():
    """Lose this machine's memory of runs."""
    shutil.rmtree(Path(os.environ["XDG_STATE_HOME"]) / "madctl")


def run_of(done):
    assert done.code == 0, done.err
    return done.json["run_id"]


@pytest.fixture
def age(lab, on):
    """Make a run old on its nodes, and what it shares with others, too."""

    def make_old(run_id, days=10, alive=False):
        # A supervisor that ends still removes files, and is one that keeps its run.
        assert alive or left_behind(lab) == []
        for host in ("node1", "node2"):
            base = "/var/tmp/madctl-0"
            command = f"find {base}/{run_id} {base}/bin-* -exec touch -h -d '{days} days ago' {{}} +"
            on(host, "sh", "-c", command)

    return make_old


def held(on, host):
    return sorted(on(host, "ls", "/var/tmp/madctl-0").split())


def test_a_forgotten_run_is_found_on_its_nodes_and_can_be_stopped(lab, detached, asked):
    forget()
    assert madctl("status").code == 2
    one = asked("ps", hosts="node1")
    assert madctl("status").code == 2
    both = asked("ps", hosts="node2,node1,node3")

    assert one.code == 0
    assert f"run {detached} also has nodes that were not asked: node2" in one.err
    lines = [line.split() for line in both.out.splitlines()]
    assert lines[0] == ["RUN", "NAME", "VERDICT", "DURATION", "STARTED", "NODES", "WORK"]
    assert [(words[0], words[2], *words[7:]) for words in lines[1:]] == [
        (detached, "running", "node[1-2]", "wait.py", "leak")
    ]
    assert both.err == ""
    assert states(detached) == {"node1": "running", "node2": "running"}
    assert madctl("ps", "--output", "json").json["data"]["runs"][0]["hosts"] == ["node1", "node2"]
    stopped = madctl("stop")
    assert stopped.code == 0, stopped.err
    assert left_behind(lab) == []


def test_a_forgotten_run_has_its_output(detached_command, asked):
    forget()
    asked("ps")
    wait_for(lambda: madctl("logs").out.count("waiting") == 2)
    assert madctl("stop").code == 0
    attached = madctl("attach")

    assert attached.code == 130, attached.err
    assert "RUN_STOPPED" in attached.err


def test_a_run_that_ended_is_found_with_its_end(launch, asked):
    run_id = run_of(launch("--", "report.py", "x y", "\x1b[2J"))
    forget()
    found = asked("ps", "--output", "json").json["data"]["runs"]
    shown = asked("ps")

    assert [(one["run_id"], one["states"], one["remembered"]) for one in found] == [(run_id, ["exited"], True)]
    assert "report.py 'x y'" in shown.out
    assert "\x1b" not in shown.out
    assert madctl("ps", "--output", "json").json["data"]["runs"][0]["status"] == "succeeded"
    attached = madctl("attach")
    assert attached.code == 0, attached.err
    assert attached.out.count("REPORT") == 2


def test_a_run_that_says_nothing_of_itself_is_listed_all_the_same(launch, asked, on):
    run_id = run_of(launch("--command", "--", "true"))
    for host in ("node1", "node2"):
        on(host, "sh", "-c", f"echo '[]' > /var/tmp/madctl-0/{run_id}/run.json")
    forget()
    done = asked("ps")

    assert done.out.splitlines()[1].split()[:2] == [run_id, "-"]
    assert "unknown: it may have other nodes" in done.out
    assert madctl("status").code == 2


def test_a_silent_node_is_named_and_its_run_is_remembered(detached_command, asked, on):
    forget()
    on("node2", "ip", "link", "set", "eno1", "down")
    try:
        done = asked("ps", "--output", "json")
        cleaned = asked("gc", "--output", "json")
    finally:
        on("node2", "ip", "link", "set", "eno1", "up")

    assert (done.code, done.codes) == (4, ["NODE_SILENT"])
    assert (cleaned.code, cleaned.codes) == (4, ["NODE_SILENT"])
    assert [one["hosts"] for one in done.json["data"]["runs"]] == [["node1"]]
    assert states(detached_command) == {"node1": "running", "node2": "running"}


def test_gc_removes_what_is_old_and_nothing_else(launch, on, age):
    old, fresh = run_of(launch("--command", "--", "true")), run_of(launch("--command", "--", "true"))
    age(old)
    live = run_of(launch("--detach", "--command", "--", "sleep", "300"))
    try:
        age(live, alive=True)
        programs = [name for name in held(on, "node1") if name.startswith("bin-")]
        tried = madctl("gc", "--dry-run")
        before = held(on, "node1")
        cleaned = madctl("gc")
        again = madctl("gc")

        assert tried.code == 0, tried.err
        assert "node1: would remove 1 run, " in tried.out
        assert f"  record of {old}" in tried.out.splitlines()
        assert before == sorted([old, fresh, live, "lock", *programs])
        assert cleaned.code == 0, cleaned.err
        lines = cleaned.out.splitlines()
        assert [line.rpartition(", ")[0] for line in lines[:2]] == ["node1: 1 run", "node2: 1 run"]
        assert lines[2:] == ["this machine: 1 record"]
        assert held(on, "node1") == held(on, "node2") == sorted([fresh, live, "lock", *programs])
        assert [run["run_id"] for run in madctl("ps", "--output", "json").json["data"]["runs"]] == [live, fresh]
        assert (again.code, again.out, again.err) == (0, "nothing to remove\n", "")
        assert set(states(live).values()) == {"running"}
    finally:
        madctl("stop", live, "--force")


def test_programs_go_with_the_last_run_that_used_them(launch, asked, on, age):
    age(run_of(launch("--command", "--", "true")))
    cleaned = asked("gc", "--output", "json")

    assert cleaned.code == 0, cleaned.err
    assert held(on, "node1") == held(on, "node2") == ["lock"]
    assert [len(node["programs"]) for node in cleaned.json["data"]["nodes"]] == [1, 1]
    assert madctl("ps", "--output", "json").json["data"]["runs"] == []
    assert launch("--command", "--", "true").code == 0


def test_a_run_that_lives_on_one_node_is_kept_on_the_other(detached, asked, on, age):
    on("node1", "pkill", "-9", "-f", "madctl_node.py supervisor")
    wait_for(lambda: states(detached)["node1"] == "lost")
    on(
        "node1",
        "sh",
        "-c",
        "for p in /proc/[0-9]*; do grep -qz MADCTL_RUN_ID= $p/environ && kill -9 ${p#/proc/}; done; :",
    )
    age(detached, alive=True)
    kept = asked("gc")
    alone = asked("gc", hosts="node1")

    assert kept.out == "nothing to remove\n", kept.out
    assert alone.out.startswith("node1: 1 run"), alone.out
    assert madctl("ps", "--output", "json").json["data"]["runs"][0]["run_id"] == detached


def test_a_run_whose_inventory_is_gone_is_forgotten(launch, tmp_path):
    run_id = run_of(launch("--command", "--", "true"))
    path = Path(os.environ["XDG_STATE_HOME"]) / "madctl" / "runs" / f"{run_id}.json"
    record = json.loads(path.read_text())
    record["targets"]["sources"] = [str(tmp_path / "inventory.yml")]
    path.write_text(json.dumps(record))
    would = madctl("gc", "--dry-run")
    kept = path.exists()
    done = madctl("gc")

    told = f"notice: the inventory {tmp_path}/inventory.yml is gone: 1 run %s forgotten here: {run_id}; "
    assert (would.code, told % "would be" in would.err, kept) == (0, True, True), would.err
    assert (done.code, told % "was" in done.err, path.exists()) == (0, True, False), done.err
    assert "[RUN_FORGOTTEN]" in done.err


def test_what_a_killed_madctl_left_here_goes_after_a_day(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("gc")  # A longer name than that is not used for private directories.
    old, used, young = (tmp_path / f"madctl-{name}" for name in ("aaaaaaaa", "bbbbbbbb", "cccccccc"))
    for path in (old, used, young):
        path.mkdir(0o700)
        (path / "inventory.yml").write_text("")
        if path != young:
            os.utime(path / "inventory.yml", (time.time() - 2 * 86400,) * 2)
            os.utime(path, (time.time() - 2 * 86400,) * 2)
    hold = "import fcntl, os, sys, time; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_SH); print(1, flush=True)"
    words = [sys.executable, "-c", f"{hold}; time.sleep(600)", str(used)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        tried = madctl("gc", "--dry-run", env={"TMPDIR": str(tmp_path)})
        assert old.exists()
        cleaned = madctl("gc", env={"TMPDIR": str(tmp_path)})
    finally:
        process.kill()
        process.wait()

    assert tried.out.splitlines() == ["this machine: would remove 1 temporary directory", f"  {old}"]
    assert cleaned.out == "this machine: 1 temporary directory\n"
    assert [path.exists() for path in (old, used, young)] == [False, True, True]


def test_without_the_command_line(lab, launch, on, age):
    from madctl.lab import state

    run_id = run_of(launch("--command", "--", "true"))
    age(run_id)
    playbook = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    common = ["-i", str(state.directory(lab.name) / "inventory.yml"), "--limit", "node1,node2"]

    def play(name, *more):
        argv = [playbook, f"madctl.multinode.{name}", *common, *more]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=JOBS).stdout

    assert run_id in play("ps", "-v")
    assert "changed=1" in play("gc", "--check") or run_id in held(on, "node1")
    assert run_id in held(on, "node1")
    assert "changed=1" in play("gc")
    assert "changed=0" in play("gc")
    assert run_id not in held(on, "node1")
