# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in clusters, each as one method, and how it ends."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from tests.integration.cluster import pod_status
from tests.integration.cluster.api_server import ApiServer
from tests.integration.cluster.events import record
from tests.integration.cluster.job_controller import JobController
from tests.integration.cluster.kubelet import Kubelets
from tests.integration.cluster.pod_worker import PodWorker
from tests.integration.cluster.requests import Requests
from tests.integration.cluster.store import Store, grace_of

Object = dict[str, Any]
PULL_FAILED = (
    'failed to pull and unpack image "registry.example/team/model:1": failed to resolve reference '
    '"registry.example/team/model:1": registry.example/team/model:1: not found'
)
BACK_OFF = f'Back-off pulling image "registry.example/team/model:1": ErrImagePull: {PULL_FAILED}'


class Faults:
    """The faults of a cluster; pods are named as the API names them."""

    store: Store
    requests: Requests
    server: ApiServer
    controller: JobController
    kubelets: Kubelets
    namespace: str

    # -- the API server -------------------------------------------------------------------------------

    def expire_token(self) -> None:
        """Take no token any more: every request ends with 401."""
        self.requests.rights.is_expired = True

    def renew_token(self) -> None:
        """Take the token of the kubeconfig again."""
        self.requests.rights.is_expired = False

    def forbid(self, verb: str, resource: str) -> None:
        """Take a right away: every such request ends with 403; ``resource`` as in a Role, such as ``pods/log``."""
        self.requests.rights.forbid(verb, resource)

    def allow_again(self) -> None:
        """Give all rights back that were taken away."""
        self.requests.rights.allow_again()

    def limit(self, plural: str, count: int | None) -> None:
        """Let a quota hold the number of Jobs or pods; a Job beyond it is refused, a pod is not made. None lifts it."""
        self.requests.quotas.pop(plural, None)
        if count is not None:
            self.requests.quotas[plural] = count
        self._touch()

    @contextlib.contextmanager
    def api_away(self) -> Iterator[None]:
        """Cut all connections to the API server, and refuse new ones for a while."""
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()

    def cut_connections(self) -> None:
        """Cut all connections to the API server, watches and logs as well; new ones are welcome."""
        self.server.cut()

    def slow_api(self, seconds: float) -> None:
        """Let the API server think before each answer."""
        self.requests.delay_seconds = seconds

    def expire_watches(self) -> None:
        """Forget the history: watches end with 410, as do new ones from what is known now."""
        self.store.forget_history()

    # -- the scheduler and its like -------------------------------------------------------------------

    def unschedulable(self, sentence: str | None) -> None:
        """Find no node for pods, and say why; None finds them again."""
        self.kubelets.unschedulable = sentence
        self._touch()

    def preempt(self, pod: str) -> None:
        """Make room for a pod of higher priority."""
        why = "default-scheduler: preempting to accommodate a higher priority pod"
        self._disrupt(pod, "PreemptionByScheduler", why)

    def suspend_new_jobs(self, is_on: bool = True) -> None:
        """Suspend Jobs as they are created, as the webhook of Kueue does to those with a queue."""
        self.requests.suspends_jobs = is_on

    def suspend(self, job: str, is_on: bool = True) -> None:
        """Suspend a Job, or let it run, as Kueue does."""
        self.store.change("jobs", self.namespace, job, lambda value: value["spec"].update(suspend=is_on))

    def delete_job(self, job: str, policy: str = "Background") -> None:
        """Delete a Job as another user does."""
        finalizers = {"Foreground": ("foregroundDeletion",), "Orphan": ("orphan",)}.get(policy, ())
        self.store.delete("jobs", self.namespace, job, 0, finalizers)

    # -- nodes and pods -------------------------------------------------------------------------------

    def image_problem(self, reason: str | None, message: str = "") -> None:
        """Pull no image: pods wait with a reason such as ``ErrImagePull``; None pulls it."""
        text = message or {"ErrImagePull": PULL_FAILED, "ImagePullBackOff": BACK_OFF}.get(reason or "", "")
        self.kubelets.image_problem = None if reason is None else (reason, text)
        self._touch()

    def slow_annotations(self, seconds: float) -> None:
        """Let files of the downward API follow annotations only after a while: kubelets take up to a minute or two."""
        self.kubelets.downward_delay = seconds

    def slow_names(self, seconds: float) -> None:
        """Let names of pods be known only after a while: a DNS remembers that there was no such name."""
        self.kubelets.names_delay = seconds

    def evict(self, pod: str) -> None:
        """Evict a pod by the API, as the drain of a node does."""
        self._disrupt(pod, "EvictionByEvictionAPI", "Eviction API: evicting")

    def kubelet_evicts(self, pod: str) -> None:
        """Let the kubelet end a pod because its node runs out of memory; the pod stays, and has failed."""
        worker = self.worker(pod)
        why = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi."
        worker.eviction = why
        record(self.store, worker.pod, "kubelet", "Evicted", why, is_warning=True)
        self._condition(pod, "TerminationByKubelet", why)
        worker.stop(grace_of(self.store.get("pods", self.namespace, pod)))

    def out_of_memory(self, pod: str) -> None:
        """Kill PID 1 of a pod as the kernel does."""
        worker = self.worker(pod)
        worker.is_oom_killed = True
        worker.signal(signal.SIGKILL)

    def node_not_ready(self, host: str) -> None:
        """Lose a node: its kubelet says nothing, its pods continue, and are not ready; their host is the test's own to cut."""
        self.kubelets.silent.add(host)
        for pod in self._pods_on(host):
            found = pod_status.condition("Ready", False)
            self._edit_status(pod, lambda status, found=found: pod_status.with_condition(status, found))
            record(self.store, pod, "node-controller", "NodeNotReady", "Node is not ready", is_warning=True)

    def node_evicts(self, host: str) -> None:
        """Evict the pods of a node that is lost: they stay Terminating."""
        for pod in self._pods_on(host):
            why = "Taint manager: deleting due to NoExecute taint"
            self._disrupt(pod["metadata"]["name"], "DeletionByTaintManager", why)

    def node_is_back(self, host: str) -> None:
        """Hear from a node again."""
        self.kubelets.silent.discard(host)
        for pod in self._pods_on(host):
            worker = self.kubelets.workers.get(pod["metadata"]["uid"])
            if worker is not None and worker.is_running:
                found = pod_status.condition("Ready", True)
                self._edit_status(pod, lambda status, found=found: pod_status.with_condition(status, found))
        self._touch()

    def node_is_gone(self, host: str) -> None:
        """Delete a node from the cluster: its pods have failed, and go."""
        for pod in self._pods_on(host):
            self._condition(pod["metadata"]["name"], "DeletionByPodGC", "PodGC: node no longer exists")
            self._edit_status(pod, lambda status: {**status, "phase": "Failed"})
            self.store.delete("pods", self.namespace, pod["metadata"]["name"])

    def stick(self, pod: str, is_stuck: bool = True) -> None:
        """Keep a pod Terminating once it is deleted, though its container has ended; or let it go."""
        worker = self.worker(pod)
        worker.is_stuck = is_stuck
        if not is_stuck:
            worker.leave()

    def rotate_logs(self, keep: int | None = None) -> None:
        """End all streams of logs, and forget all but the newest lines where a number is given."""
        for worker in list(self.kubelets.workers.values()):
            if worker.log is not None:
                worker.log.rotate(keep)

    # -- how --------------------------------------------------------------------------------------------

    def worker(self, pod: str) -> PodWorker:
        """Return what runs a pod."""
        return self.kubelets.workers[self.store.get("pods", self.namespace, pod)["metadata"]["uid"]]

    def _pods_on(self, host: str) -> list[Object]:
        over = ("Succeeded", "Failed")
        return self.store.list(
            "pods", matches=lambda pod: pod["spec"].get("nodeName") == host and pod["status"].get("phase") not in over
        )

    def _condition(self, pod: str, reason: str, message: str) -> None:
        found = pod_status.condition("DisruptionTarget", True, reason, message)
        value = self.store.get("pods", self.namespace, pod)
        self._edit_status(value, lambda status: pod_status.with_condition(status, found))

    def _disrupt(self, pod: str, reason: str, message: str) -> None:
        self._condition(pod, reason, message)
        grace = grace_of(self.store.get("pods", self.namespace, pod))
        self.store.delete("pods", self.namespace, pod, grace)

    def _edit_status(self, pod: Object, change: Callable[[Object], Object]) -> None:
        self.store.edit("pods", pod, lambda value: value.update(status=change(value["status"])))

    def _touch(self) -> None:
        """Let all parts look again."""
        self.store.touch()
