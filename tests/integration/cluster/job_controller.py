# SPDX-License-Identifier: Apache-2.0
"""What the Job controller and the garbage collector do: pods for Jobs, counts, conditions, and the end of what is owned."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.integration.cluster import failure_policy, pod_template
from tests.integration.cluster.events import record
from tests.integration.cluster.store import Store, grace_of, now

Object = dict[str, Any]

OWNED = ("pods", "services", "configmaps", "secrets")
SOURCE = "job-controller"
_ENDED = ("Succeeded", "Failed")


class JobController:
    """Brings what there is closer to what Jobs say, whenever anything changes."""

    def __init__(self, store: Store, refusal: Callable[[str], str | None]):
        """
        Args:
            refusal: Says why one more pod in a namespace is too many, if it is.
        """
        self._store, self._refusal = store, refusal
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._store.closed:
            version = self._store.version
            for job in self._store.list("jobs"):
                if "deletionTimestamp" in job["metadata"]:
                    self._collect(job)
                else:
                    self._sync(job)
            self._collect_orphans()
            self._store.wait(version, 0.5)

    # -- the end of what is owned ---------------------------------------------------------------------

    def _owned(self, job: Object, plural: str) -> list[Object]:
        return self._store.list(
            plural, job["metadata"]["namespace"], lambda value: _owner(value) == job["metadata"]["uid"]
        )

    def _collect(self, job: Object) -> None:
        """Bring the deletion of a Job forward."""
        held = job["metadata"].get("finalizers") or []
        left = False
        for plural in OWNED:
            for value in self._owned(job, plural):
                if plural == "pods":
                    self._release(value)
                if "orphan" in held:
                    self._store.edit(plural, value, lambda one: one["metadata"].pop("ownerReferences") and None)
                else:
                    left = True
                    self._delete(plural, value)
        if not left:
            self._store.edit("jobs", job, lambda one: one["metadata"].pop("finalizers", None) and None)

    def _collect_orphans(self) -> None:
        """Delete what belongs to a Job that is gone."""
        for plural in OWNED:
            for value in self._store.list(plural, matches=lambda value: bool(_owner(value))):
                owner = value["metadata"]["ownerReferences"][0]
                found = self._store.find("jobs", value["metadata"]["namespace"], owner["name"])
                if found is None or found["metadata"]["uid"] != owner["uid"]:
                    if plural == "pods":
                        self._release(value)
                    self._delete(plural, value)

    def _delete(self, plural: str, value: Object) -> None:
        self._store.discard(plural, value, grace_of(value) if plural == "pods" else 0)

    def _release(self, pod: Object) -> None:
        """Take the finalizer away that keeps a pod until it was counted."""

        def edit(value: Object) -> None:
            left = [one for one in value["metadata"].get("finalizers") or () if one != pod_template.TRACKING]
            value["metadata"].pop("finalizers", None)
            if left:
                value["metadata"]["finalizers"] = left

        self._store.edit("pods", pod, edit)

    # -- a Job that is alive ----------------------------------------------------------------------------

    def _sync(self, job: Object) -> None:
        pods = self._owned(job, "pods")
        if _has(job, "Complete") or _has(job, "Failed"):
            for pod in pods:
                if pod["status"].get("phase") in _ENDED:
                    self._release(pod)
            return
        status = dict(job["status"])
        counted = self._count(job, status, pods)
        self._judge(job, status, pods)
        if _is(status, "FailureTarget") or _is(status, "SuccessCriteriaMet"):
            for pod in _active(pods):
                self._delete("pods", pod)
        elif job["spec"]["suspend"]:
            self._suspend(job, status, pods)
        else:
            self._start(job, status, pods)
        self._count_active(job, status)
        self._finish(job, status)
        self._store.edit("jobs", job, lambda one: one.update(status=status))
        for pod in counted:
            self._release(pod)

    def _count(self, job: Object, status: Object, pods: list[Object]) -> list[Object]:
        """Count pods that have ended, each once, and return them."""
        done = _indexes(status.get("completedIndexes", ""))
        counted = [
            pod
            for pod in pods
            if pod_template.TRACKING in (pod["metadata"].get("finalizers") or ()) and _phase(pod) in _ENDED
        ]
        for pod in counted:
            if _phase(pod) == "Succeeded":
                done.add(_index(pod))
            else:
                status["failed"] = status.get("failed", 0) + 1
        if any(_phase(pod) == "Succeeded" for pod in counted):
            status["completedIndexes"], status["succeeded"] = _ranges(done), len(done)
        return counted

    def _judge(self, job: Object, status: Object, pods: list[Object]) -> None:
        """Find out whether a Job has failed or succeeded."""
        spec = job["spec"]
        if _is(status, "FailureTarget") or _is(status, "SuccessCriteriaMet"):
            return
        failed = [pod for pod in pods if _phase(pod) == "Failed"]
        rules = (spec.get("podFailurePolicy") or {}).get("rules") or ()
        why = next(filter(None, (failure_policy.message(rules, pod) for pod in failed)), None)
        limit = spec.get("activeDeadlineSeconds")
        if why:
            _set(status, "FailureTarget", "PodFailurePolicy", why)
        elif status.get("failed", 0) > spec["backoffLimit"]:
            _set(status, "FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif limit is not None and not spec["suspend"] and _age(status) >= limit:
            _set(status, "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
        elif status.get("succeeded", 0) >= spec["completions"]:
            _set(status, "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods")

    def _suspend(self, job: Object, status: Object, pods: list[Object]) -> None:
        for pod in _active(pods):
            self._release(pod)
            self._delete("pods", pod)
        if not _is(status, "Suspended"):
            _set(status, "Suspended", "JobSuspended", "Job suspended")
            status.pop("startTime", None)
            record(self._store, job, SOURCE, "Suspended", "Job suspended")

    def _start(self, job: Object, status: Object, pods: list[Object]) -> None:
        if _is(status, "Suspended"):
            _set(status, "Suspended", "JobResumed", "Job resumed", "False")
            status.pop("startTime", None)
            record(self._store, job, SOURCE, "Resumed", "Job resumed")
        status.setdefault("startTime", now())
        # One that is terminating is replaced only where the Job does not wait for its end.
        waits = job["spec"]["podReplacementPolicy"] == "Failed"
        there = {_index(pod) for pod in pods if _phase(pod) not in _ENDED and (waits or _is_kept(pod))}
        missing = [one for one in range(job["spec"]["completions"]) if one not in there]
        done = _indexes(status.get("completedIndexes", ""))
        for index in [one for one in missing if one not in done][: max(0, job["spec"]["parallelism"] - len(there))]:
            refusal = self._refusal(job["metadata"]["namespace"])
            if refusal is not None:
                name = f"{job['metadata']['name']}-{index}-"
                why = f'Error creating: pods "{name}" is forbidden: {refusal}'
                record(self._store, job, SOURCE, "FailedCreate", why, is_warning=True)
                return
            pod = self._store.create("pods", pod_template.pod(job, index, random))
            record(self._store, job, SOURCE, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    def _count_active(self, job: Object, status: Object) -> None:
        pods = self._owned(job, "pods")
        running = _active(pods)
        status["ready"] = sum(_is_ready(pod) for pod in running)
        status["terminating"] = sum(not _is_kept(pod) and _phase(pod) not in _ENDED for pod in pods)
        status["active"] = len(running)
        status["uncountedTerminatedPods"] = {}

    def _finish(self, job: Object, status: Object) -> None:
        """Say that a Job is over, once its pods are."""
        if status["active"] or status["terminating"]:
            return
        for before, after in (("FailureTarget", "Failed"), ("SuccessCriteriaMet", "Complete")):
            found = _is(status, before)
            if found:
                _set(status, after, found["reason"], found["message"])
                if after == "Complete":
                    status["completionTime"] = now()
                text = "Job completed" if after == "Complete" else found["message"]
                reason = "Completed" if after == "Complete" else found["reason"]
                record(self._store, job, SOURCE, reason, text, is_warning=after == "Failed")


def _owner(value: Object) -> str:
    owners = value["metadata"].get("ownerReferences") or [{}]
    return owners[0].get("uid", "") if owners[0].get("kind") == "Job" else ""


def _phase(pod: Object) -> str:
    return pod["status"].get("phase", "Pending")


def _is_kept(pod: Object) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


def _active(pods: list[Object]) -> list[Object]:
    return [pod for pod in pods if _is_kept(pod) and _phase(pod) not in _ENDED]


def _is_ready(pod: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions") or ())


def _index(pod: Object) -> int:
    return int(pod["metadata"]["labels"].get(pod_template.INDEX, 0))


def _is(status: Object, kind: str) -> Object | None:
    return next(
        (one for one in status.get("conditions") or () if one["type"] == kind and one["status"] == "True"), None
    )


def _has(job: Object, kind: str) -> bool:
    return _is(job["status"], kind) is not None


def _set(status: Object, kind: str, reason: str, message: str, value: str = "True") -> None:
    at = now()
    one = {"type": kind, "status": value, "lastProbeTime": at, "lastTransitionTime": at}
    others = [condition for condition in status.get("conditions") or () if condition["type"] != kind]
    status["conditions"] = [*others, {**one, "reason": reason, "message": message}]


def _age(status: Object) -> float:
    if "startTime" not in status:
        return 0.0
    return time.time() - datetime.strptime(status["startTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def _indexes(text: str) -> set[int]:
    """Parse ranges such as ``0-2,4``."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _ranges(indexes: set[int]) -> str:
    parts: list[list[int]] = []
    for one in sorted(indexes):
        if parts and parts[-1][1] == one - 1:
            parts[-1][1] = one
        else:
            parts.append([one, one])
    # Two neighbours are written with a comma.
    return ",".join(str(a) if a == b else f"{a},{b}" if b == a + 1 else f"{a}-{b}" for a, b in parts)
