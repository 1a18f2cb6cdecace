# SPDX-License-Identifier: Apache-2.0
"""A lab whose hosts are nodes of a real Slurm, as tests of runs in its jobs need it."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import uuid
from pathlib import Path

import pytest

from madctl.lab import power, slurm
from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.host_processes import kill, left_behind, on_host
from tests.integration.launchers import FOLLOWERS, bounded, end_followers

ALL = 3
# All GPUs: two such jobs wait for each other.
ALONE = ("--gpus-per-node", str(slurm.GPUS))


# Both Slurm and madctl may signal it: the second signal must not be told as a second end.
ORDERLY = "trap 'trap \"\" TERM; sleep 0.5; echo orderly; exit 0' TERM; echo waiting; while :; do sleep 0.1; done"


class Site:
    """A lab with Slurm, and its directory for runs."""

    def __init__(self, lab):
        self.lab, self.runs = lab, Path(lab.shared) / "madctl-runs"
        self.runs.mkdir()

    def slurm(self, *words):
        """Run a program of Slurm on the login side."""
        return self._slurm(*words).stdout.strip()

    def is_accepted(self, *words):
        """Run a program of Slurm, and tell whether it succeeded."""
        return self._slurm(*words).returncode == 0

    def _slurm(self, *words):
        return subprocess.run(
            words, env={**os.environ, **slurm.environment(self.lab)}, capture_output=True, text=True, errors="replace"
        )

    def submission(self):
        """Return how the latest run was submitted."""
        latest = max(self.runs.glob("*/submit.json"), key=lambda path: path.stat().st_mtime)
        return json.loads(latest.read_text())

    def run(self, command, *words, **more):
        return madctl(command, *words, **more)

    def options(self, nodes=ALL):
        return ["--on", "slurm", "--lab", self.lab.name, "--nodes", str(nodes)]

    def launch(self, *words, nodes=ALL, **more):
        return self.run("launch", *self.options(nodes), "--output", "json", *words, **more)

    def begin(self, *words, nodes=ALL):
        """Start a launch in the background, as a user who may press Ctrl-C."""
        argv = [str(MADCTL), "launch", *self.options(nodes), *words]
        process = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        FOLLOWERS.append(process)
        return process

    def state(self, job_id):
        """Return the state of a job; no state if Slurm does not know it any more."""
        return "".join(self._settled("-t", "all", "-j", str(job_id)).values())

    def jobs(self):
        """Return the numbers of jobs that wait or run."""
        return list(self._settled())

    def _settled(self, *words):
        """Return numbers and states of jobs. One that has ended is COMPLETING for as long as its nodes tidy up."""
        found = {}

        def settled():
            done = self._slurm("squeue", "-h", *words, "-o", "%i %T")
            found.clear()
            found.update(line.split() for line in done.stdout.splitlines())
            # A controller that is too busy to answer has not said that there is nothing.
            is_answer = done.returncode == 0 or "Invalid job id" in done.stderr
            return is_answer and "COMPLETING" not in found.values()

        # Of a node that has lost its power, Slurm waits for the answer.
        wait_for(settled, 180)
        return found

    def reconfigure(self, old, new):
        """Change the configuration of Slurm."""
        path = slurm.configuration_file(self.lab)
        path.write_text(path.read_text().replace(old, new))
        self.slurm("scontrol", "reconfigure")

    def end_controller(self):
        """End the controller, which still writes what it knows."""
        pid = int((Path(self.lab.shared) / ".slurm" / "slurmctld.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not Path(f"/proc/{pid}/exe").exists())

    def start_controller(self):
        """Start it again, and wait until it answers."""
        slurm.start_controller(self.lab)
        wait_for(lambda: "is UP" in self.slurm("scontrol", "ping"))

    def kill_conductor(self, run_id):
        """Kill our own program on the first node of a run."""
        words = f"_job.conduct {self.place(run_id)}"
        for line in on_host(self.lab, "node1", "ps", "axww", "-o", "pid=,args=").stdout.splitlines():
            if words in line:
                on_host(self.lab, "node1", "kill", "-KILL", line.split()[0])

    def place(self, run_id):
        return self.runs / run_id

    def job_of(self, run_id):
        return json.loads((self.place(run_id) / "submit.json").read_text())["job_id"]


@contextlib.contextmanager
def running(nodes=ALL, proctrack="linuxproc", **more):
    """Bring up a lab with Slurm, ``more`` as for its start, and take it down at the end."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    before = Path.cwd()
    with cgroups(nodes) if proctrack == "cgroup" else contextlib.nullcontext():
        os.chdir(JOBS)
        try:
            lab = power.up(name, nodes, {})
            slurm.start(lab, proctrack, **more)
            yield Site(lab)
        finally:
            os.chdir(before)
            power.down(name)


@contextlib.contextmanager
def cgroups(nodes):
    """
    Have the cgroups of nodes for one lab alone, and remove those that are left of it.

    They are the machine's and go by the names of nodes, and nodes and numbers of jobs are the same in every lab: what
    Slurm kills in one would be what another has started.
    """
    place = Path("/sys/fs/cgroup/freezer")
    # Not that place itself, which Slurm locks.
    lock = os.open(place.parent, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        for number in range(1, nodes + 1):
            for group in sorted(place.glob(f"slurm_node{number}/**"), reverse=True):
                with contextlib.suppress(OSError):
                    group.rmdir()
        os.close(lock)


def read_lines(launch, words, count=1):
    """Read lines that a launch prints, all with certain words; one that has ended instead fails the test and says why."""
    with bounded(launch):
        lines = [launch.stdout.readline() for _ in range(count)]
    if not all(words in line for line in lines):
        launch.send_signal(signal.SIGINT)
        pytest.fail(f"{lines}: {launch.communicate(timeout=60)}")


def clear(site):
    """Hold that no job is in the queue any more, and nothing of a run on any host."""
    end_followers()
    for job_id in site.jobs():
        site.slurm("scancel", "--signal=KILL", "--full", job_id)
        site.slurm("scancel", job_id)
    wait_for(lambda: site.jobs() == [])
    with contextlib.suppress(AssertionError):
        wait_for(lambda: left_behind(site.lab) == [])
    left = left_behind(site.lab)
    kill(left)
    assert left == []
    assert [
        host.name
        for host in site.lab.hosts
        if "madctl_job" in on_host(site.lab, host.name, "ps", "ax", check=False).stdout
    ] == []
