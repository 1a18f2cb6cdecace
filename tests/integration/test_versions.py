# SPDX-License-Identifier: Apache-2.0
"""Every line of ansible-core that is declared, with the tarball alone in an empty tree, launches a real job."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration import bare_ansible
from tests.integration.command import JOBS, wait_for
from tests.integration.host_processes import left_behind, marked
from tests.integration.launchers import read_until

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("core", bare_ansible.PYTHONS, indirect=True)
def test_a_job_on_two_nodes_with_the_tarball_alone(core, lab, tree):
    packages = [str(bare_ansible.environment(core) / "pip"), "list", "--format", "json"]
    names = {entry["name"]: entry["version"] for entry in json.loads(subprocess.check_output(packages))}
    # On the command line all is text; in a file it is what it is.
    words = ["-e", f"madctl_python={sys.executable} madctl_nproc_per_node=2 madctl_work={JOBS / 'report.py'}"]
    done = bare_ansible.play(
        core, tree, "madctl.multinode.launch", "-i", bare_ansible.inventory(lab), "--limit", "node1,node3", *words
    )

    assert "madctl" not in names
    assert names["ansible-core"].startswith(f"{core}.")
    assert done.code == 0, done.all
    reports = [json.loads(line.partition("REPORT ")[2]) for line in done.out.splitlines() if "REPORT " in line]
    assert sorted(report["rank"] for report in reports) == ["0", "1", "2", "3"]
    assert {report["env"]["NCCL_SOCKET_IFNAME"] for report in reports} == {"ens14np0", "ib0"}
    assert "2 × 2 = 4 ranks on ens14np0, ib0, master " in done.out
    assert " on 2 nodes, 4 of 4 ranks joined" in done.out


class Launcher:
    """Launches with one line of ansible-core, each a process with a person in front of it."""

    def __init__(self, core, lab, tree):
        self.core, self.tree = core, tree
        self.options = ["-i", bare_ansible.inventory(lab), "--limit", "node1,node2"]

    def start(self, work, playbook="launch", grace=45, **env):
        # Only a reader that follows is still there when it is interrupted.
        job = {"madctl_shape": "command", "madctl_work": work, "madctl_follow": True, "madctl_grace": grace}
        (self.tree / "job.json").write_text(json.dumps(job))
        words = [f"madctl.multinode.{playbook}", *self.options, "-e", "@job.json"]
        self.process = bare_ansible.start(self.core, self.tree, *words, env=env)
        return self.process

    def play(self, playbook):
        return bare_ansible.play(self.core, self.tree, f"madctl.multinode.{playbook}", *self.options)

    def processes(self):
        """Return the processes of the launch that still run on this machine, whatever their parent."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                is_here = os.readlink(place / "cwd") == str(self.tree)
                if is_here and b"@job.json" in (place / "cmdline").read_bytes():
                    found.append(int(place.name))
            except OSError:
                continue  # It has ended.
        return found


@pytest.fixture(params=["2.17", pytest.param("2.18", marks=pytest.mark.long), "2.19"], scope="module")
def core(request):
    """Each line of ansible-core, one after the other; interrupts are the same in the first two."""
    bare_ansible.need(request.param)
    return request.param


@pytest.fixture(scope="module")
def tree(core, tarball, tmp_path_factory):
    """The collection in a tree of its own."""
    place = tmp_path_factory.mktemp("tree")
    bare_ansible.install(core, tarball, place)
    return place


@pytest.fixture
def launcher(core, lab, tree):
    launcher = Launcher(core, lab, tree)
    yield launcher
    for pid in launcher.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    launcher.process.wait()
    if marked(lab):
        launcher.play("stop")


FLOOD = ["sh", "-c", "for i in $(seq 3000); do seq 2000; sleep 0.1; done"]
SAVES = "trap 'sleep 1; echo saved; exit 0' TERM; sleep 300 & echo waiting; wait"


def test_an_interrupted_playbook_stops_the_run_gracefully(lab, launcher):
    process = launcher.start(["bash", "-c", SAVES], ANSIBLE_STDOUT_CALLBACK="madctl.multinode.live")
    # Ansible itself says nothing to a pipe before its end.
    for _ in range(2):
        read_until(process, "| waiting")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=180)

    assert process.returncode == 99, output
    assert {"node1 | saved", "node2 | saved"} <= set(output.splitlines()), output
    assert "done    interrupted after " in output
    # The connections, which are in the group of processes that is interrupted, do not end with it.
    assert "does not answer" not in output
    assert "Traceback" not in output
    wait_for(lambda: launcher.processes() == [])
    assert left_behind(lab) == []


def test_a_second_interrupt_kills(lab, launcher, on):
    job = ["sh", "-c", "trap '' TERM; echo waiting; sleep 900"]
    process = launcher.start(job, grace=600, PYTHONUNBUFFERED="1")
    said = read_until(process, "| waiting") + read_until(process, "| waiting")
    run_id = re.search(r"^run +(\S+)$", said, re.M)[1]
    os.killpg(process.pid, signal.SIGINT)
    # Two that come at once are one.
    for host in ("node1", "node2"):
        wait_for(lambda host=host: '"stopping"' in on(host, "cat", f"/var/tmp/madctl-0/{run_id}/events.jsonl"))
    # The worker, too, as a terminal does with 2.17 and 2.18; that of 2.19 has left the terminal.
    for pid in launcher.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    process.communicate(timeout=180)  # Less than nodes wait before they kill.
    wait_for(lambda: launcher.processes() == [])
    assert left_behind(lab) == []


def test_an_interrupt_in_a_flood_leaves_no_process(lab, launcher):
    job = ["bash", "-c", "trap 'seq 100000; exit 0' TERM; while :; do seq 2000; sleep 0.1; done"]
    process = launcher.start(job, PYTHONUNBUFFERED="1")
    read_until(process, "| 2000")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=180)
    wait_for(lambda: launcher.processes() == [])
    assert left_behind(lab) == []


def test_who_interrupts_the_logs_leaves_the_run_alone(lab, launcher):
    process = launcher.start(FLOOD, PYTHONUNBUFFERED="1")
    read_until(process, "| 2000")
    os.kill(process.pid, signal.SIGKILL)
    reader = launcher.start(FLOOD, playbook="logs", PYTHONUNBUFFERED="1")
    read_until(reader, "| 2000")
    os.killpg(reader.pid, signal.SIGINT)
    reader.communicate(timeout=180)
    wait_for(lambda: launcher.processes() == [])
    process.wait()

    assert reader.returncode == 99
    assert launcher.play("status").out.count("  running  ") == 2
    assert launcher.play("stop").code == 0
    assert left_behind(lab) == []


def test_a_killed_playbook_lets_the_run_go_on_and_leaves_no_process(lab, launcher):
    # More than the pipe between processes of Ansible holds: it is no longer read.
    process = launcher.start(FLOOD, PYTHONUNBUFFERED="1")
    read_until(process, "| 2000")
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: launcher.processes() == [])
    status, stopped = launcher.play("status"), launcher.play("stop")

    assert re.findall(r"^(node\d) +(\w+)", status.out, re.M)[:2] == [("node1", "running"), ("node2", "running")]
    assert stopped.code == 0, stopped.all
    assert left_behind(lab) == []


def test_what_is_declared_is_what_is_tested():
    declared = yaml.safe_load((bare_ansible.ROOT / "meta/runtime.yml").read_text())["requires_ansible"]

    assert declared == ">=2.17.0,<2.20.0"
    assert list(bare_ansible.PYTHONS) == ["2.17", "2.18", "2.19"]
