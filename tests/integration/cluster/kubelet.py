# SPDX-License-Identifier: Apache-2.0
"""A scheduler for pods and the kubelets of all hosts: which pod is where, and what it is told when something changes."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from madctl.lab.spec import Host
from tests.integration.cluster import names, pod_status, status
from tests.integration.cluster.events import record
from tests.integration.cluster.logs import Log
from tests.integration.cluster.pod_worker import Image, PodWorker
from tests.integration.cluster.store import Store

Object = dict[str, Any]
_ENDED = ("Succeeded", "Failed")


class Kubelets:
    """Runs pods on hosts, and looks again whenever anything changes."""

    def __init__(self, store: Store, hosts: list[Host], directory: Path, image: Image, pods_per_host: int):
        self.store, self._hosts, self._directory, self._image = store, hosts, directory, image
        self._pods_per_host = pods_per_host
        self.workers: dict[str, PodWorker] = {}
        self.unschedulable: str | None = None
        self.image_problem: tuple[str, str] | None = None
        self.downward_delay = self.names_delay = 0.0
        # Hosts whose kubelets nobody hears, and who hear nobody.
        self.silent: set[str] = set()
        self._downward: dict[str, tuple[Object, float]] = {}
        self._graces: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._addressed: dict[str, float] = {}
        self.claims = directory / "claims"
        self.claims.mkdir()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def log_of(self, pod: Object) -> Log | None:
        """
        Return the log of a pod, if its container has started.

        Raises:
            StatusError: If its kubelet cannot be reached.
        """
        worker = self.workers.get(pod["metadata"]["uid"])
        if worker is not None and (worker.is_silent() or worker.is_lost):
            raise status.unreachable(worker.host.management_address)
        return worker.log if worker else None

    def stop(self) -> None:
        """End all containers."""
        self.thread.join(10)
        for worker in list(self.workers.values()):
            worker.kill()

    def _run(self) -> None:
        while not self.store.closed:
            version = self.store.version
            pods = self.store.list("pods")
            for pod in pods:
                self._look_at(pod)
            self._forget({pod["metadata"]["uid"] for pod in pods})
            self._write_names(pods)
            self.store.wait(version, self._next_look())

    def _look_at(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        is_deleted, is_over = "deletionTimestamp" in pod["metadata"], pod["status"].get("phase") in _ENDED
        worker = self.workers.get(uid)
        if worker is None and not is_over:
            if is_deleted:
                self.store.edit("pods", pod, lambda value: value["status"].update(pod_status.never_started(value)))
            elif "nodeName" not in pod["spec"]:
                self._schedule(pod)
            else:
                self._start(pod)
            return
        if worker is None or worker.is_silent():
            return
        worker.image_problem = self.image_problem
        if is_deleted:
            grace = pod["metadata"]["deletionGracePeriodSeconds"]
            if self._graces.get(uid) != grace:
                self._graces[uid] = grace
                worker.delete(grace)
        self._look_at_annotations(worker, pod)

    def _schedule(self, pod: Object) -> None:
        host, why = self._free_host(), self.unschedulable
        if why is None and host is None:
            why = f"0/{len(self._hosts)} nodes are available: {len(self._hosts)} Too many pods."
        if why is None:
            bound = pod_status.condition("PodScheduled", True)
            record(
                self.store, pod, "default-scheduler", "Scheduled", f"Successfully assigned {_name(pod)} to {host.name}"
            )
            self.store.edit("pods", pod, lambda value: _bind(value, host, bound))
            return
        found = pod_status.condition("PodScheduled", False, "Unschedulable", why)
        edited = lambda value: value["status"].update(pod_status.kept(value, {"conditions": [found]}))  # noqa: E731
        self.store.edit("pods", pod, edited)
        record(self.store, pod, "default-scheduler", "FailedScheduling", why, is_warning=True)

    def _free_host(self) -> Host | None:
        """Return the host with the fewest pods that has room for one."""
        pods = self.store.list("pods", matches=lambda pod: pod["status"].get("phase") not in _ENDED)
        used = [pod["spec"].get("nodeName") for pod in pods]
        free = [host for host in self._hosts if used.count(host.name) < self._pods_per_host]
        return min(free, key=lambda host: used.count(host.name), default=None)

    def _start(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        host = next(host for host in self._hosts if host.name == pod["spec"]["nodeName"])
        worker = PodWorker(self.store, pod, host, self._directory / "pods" / uid, self.claims, self._image)
        worker.image_problem = self.image_problem
        worker.is_silent = lambda: host.name in self.silent
        self.workers[uid] = worker
        worker.thread.start()

    def _look_at_annotations(self, worker: PodWorker, pod: Object) -> None:
        """Write files of the downward API again, a while after what they show changed."""
        uid, shown = pod["metadata"]["uid"], _shown(pod)
        # Its container has started with what was known then.
        before = self._downward.setdefault(uid, (_shown(worker.pod), 0.0))
        if before[0] != shown:
            before = self._downward[uid] = (shown, time.monotonic() + self.downward_delay)
        if before[1] and time.monotonic() >= before[1]:
            self._downward[uid] = (shown, 0.0)
            worker.write_downward(pod)

    def _next_look(self) -> float:
        due = [at for _, at in self._downward.values() if at]
        return max(0.01, min([0.5, *(at - time.monotonic() for at in due)]))

    def _forget(self, left: set[str]) -> None:
        """Remove what is kept of pods that are gone: their logs are, too."""
        for uid in [uid for uid in self.workers if uid not in left]:
            self.workers.pop(uid).kill()
            for known in (self._downward, self._graces, self._names, self._addressed):
                known.pop(uid, None)

    def _write_names(self, pods: list[Object]) -> None:
        services, known = self.store.list("services"), [pod for pod in pods if self._is_known(pod)]
        for pod in pods:
            uid = pod["metadata"]["uid"]
            worker = self.workers.get(uid)
            if worker is None or worker.log is None:
                continue
            text = names.hosts_file(pod, worker.host.data_address, known, services)
            if self._names.get(uid) != text:
                self._names[uid] = text
                worker.write_names(text)

    def _is_known(self, pod: Object) -> bool:
        """Return whether a pod has had an address for as long as its name takes."""
        if not pod["status"].get("podIP"):
            return False
        since = self._addressed.setdefault(pod["metadata"]["uid"], time.monotonic())
        return time.monotonic() - since >= self.names_delay


def _bind(pod: Object, host: Host, bound: Object) -> None:
    pod["spec"]["nodeName"] = host.name
    pod["status"].update(pod_status.kept(pod, {"conditions": [bound]}))


def _shown(pod: Object) -> Object:
    return {name: pod["metadata"].get(name) for name in ("annotations", "labels")}


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
