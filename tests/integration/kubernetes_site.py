# SPDX-License-Identifier: Apache-2.0
"""A lab whose hosts stand in for the nodes of a cluster of Kubernetes, as tests of runs in pods need it."""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path

from madctl.lab import power
from tests.integration.cluster import cluster as stand_in
from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.host_processes import on_host

ALL = 3


class Started:
    """A command that runs, what it has printed so far, and how it ends."""

    def __init__(self, words):
        argv = [str(MADCTL), *words]
        self._process = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._lines = queue.Queue()
        self.send_signal, self.kill = self._process.send_signal, self._process.kill
        self.run_id = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def until(self, text, times=1, seconds=120):
        """Read until a text was there some times, and return all that was read; it has to come in time."""
        said, deadline = "", time.monotonic() + seconds
        while said.count(text) < times:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = ""
            assert line, said
            said += line
        return said

    def ended(self, seconds=200):
        """Return the exit code, and the rest of what was printed."""
        code, said = self._process.wait(timeout=seconds), ""
        while line := self._lines.get(timeout=60):
            said += line
        return code, said


class Site:
    """A stand-in for a cluster, and the runs in it."""

    def __init__(self, cluster):
        self.cluster, self.lab = cluster, cluster.lab

    def options(self, nodes=ALL):
        return ["--on", "k8s", "--nnodes", str(nodes), "--image", "registry/train:1", "--nproc-per-node", "2"]

    def launch(self, *words, nodes=ALL, **more):
        return madctl("launch", *self.options(nodes), "--output", "json", *words, **more)

    def begin(self, *words, nodes=ALL):
        """Start a launch in the background, as a user who may press Ctrl-C."""
        return self.start("launch", *self.options(nodes), *words)

    def start(self, *words):
        """Start a command in the background."""
        return Started(words)

    def kubectl(self, *words, check=True):
        """Run the real kubectl, and return what it prints."""
        done = subprocess.run(["kubectl", *words], capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, kind):
        return self.cluster.store.list(kind, self.cluster.namespace)

    def job(self, run_id):
        return self.cluster.store.get("jobs", self.cluster.namespace, f"madctl-{run_id}")

    def conditions(self, run_id):
        return {one["type"] for one in self.job(run_id)["status"].get("conditions", ()) if one["status"] == "True"}

    def ends(self, run_id):
        """Return the exit code of every pod of a run, by its number; None while it runs."""
        found = {}
        for pod in self.objects("pods"):
            if pod["metadata"]["labels"]["madctl.dev/run"] == run_id:
                state = pod["status"].get("containerStatuses", [{"state": {}}])[0]["state"]
                number = int(pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"])
                found[number] = state.get("terminated", {}).get("exitCode")
        return found

    def wait_joined(self, run_id, ranks=2 * ALL):
        wait_for(lambda: madctl("status", run_id, "--output", "json").json["data"]["run"]["ranks_joined"] == ranks, 200)

    def clear(self):
        """Delete all runs at once, and wait until nothing of them is there."""
        for kind in ("jobs", "services", "configmaps", "secrets"):
            for one in self.objects(kind):
                self.cluster.store.discard(kind, one)
        for worker in list(self.cluster.kubelets.workers.values()):
            worker.signal(signal.SIGKILL)
        wait_for(lambda: self.objects("pods") == [], 120)

    def wait_lines(self, pod, count):
        """Wait until a pod has printed so many more lines, whoever reads them."""
        log = self.cluster.worker(pod).log
        before = log.count
        wait_for(lambda: log.count > before + count)

    def link(self, host, state):
        """Cut the network of a host, or mend it."""
        for name in ("eno1", next(one.data_interface for one in self.lab.hosts if one.name == host)):
            on_host(self.lab, host, "ip", "link", "set", name, state)


@contextlib.contextmanager
def running(count=ALL, **more):
    """Bring up a lab and the stand-in on its hosts, and take both down at the end."""
    name, before = f"test-{uuid.uuid4().hex[:8]}", Path.cwd()
    os.chdir(JOBS)
    try:
        with stand_in.running(power.up(name, count, {}), **more) as cluster:
            yield Site(cluster)
    finally:
        os.chdir(before)
        power.down(name)
