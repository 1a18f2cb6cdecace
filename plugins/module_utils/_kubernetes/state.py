# SPDX-License-Identifier: Apache-2.0
"""
What the objects of a job and its pods show about a run: what it waits for, and why it ended if the run could not say.

This reads conditions, never counts: a job is over only when a condition says so. Pure; private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem

Object = Dict[str, Any]
# What a container waits for in any start; everything else is reported.
_USUAL = ("ContainerCreating", "PodInitializing")
# What waiting does not fix: an image that is not available, a container that cannot be created.
_STUCK = (
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"),
    *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
)
_NOT_STARTED = ("StartError", "ContainerCannotRun", "RunContainerError")
_PREEMPTED = "PreemptionByScheduler"
_TEXT = 400  # characters
_DAY_SECONDS = 86400
_AGAIN = "launch it again"


class Container(NamedTuple):
    """The container of a pod: ``waiting``, ``running`` or ``terminated``, why, and its exit code."""

    state: str
    reason: str = ""
    message: str = ""
    exit_code: Optional[int] = None


class Standing(NamedTuple):
    """
    How far a job has got: ``queued``, ``starting``, ``running`` or ``ended``, and what it waits for.

    ``host`` is the pod that waits, if it is one; ``stuck`` is whether waiting alone does not help.
    """

    phase: str
    reason: str = ""
    stuck: bool = False
    host: Optional[str] = None
    more: int = 0

    @property
    def sentence(self) -> str:
        """What it waits for, in one line; empty if that is nothing unusual."""
        more = " (and %d more)" % self.more if self.more else ""
        return "%s%s%s" % ("%s: " % self.host if self.host else "", self.reason, more)


def _part(found: Any, *path: str) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _text(found: Any) -> str:
    return " ".join(str(found or "").split())[:_TEXT]


def conditions(found: Optional[Object]) -> Dict[str, Object]:
    """Return the conditions of an object, by type."""
    listed = _part(found, "status", "conditions")
    return {str(one.get("type")): one for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict)}


def _holds(found: Optional[Object], kind: str) -> Optional[Object]:
    condition = conditions(found).get(kind)
    return condition if condition is not None and condition.get("status") == "True" else None


def is_over(job: Optional[Object]) -> bool:
    """Return whether a job has ended for good, including its pods; one that is gone has."""
    return job is None or bool(_holds(job, "Complete") or _holds(job, "Failed"))


def is_suspended(job: Optional[Object]) -> bool:
    """Return whether a job waits to be released, for example by a queue."""
    return _part(job, "spec", "suspend") is True


def index(pod: Object) -> Optional[int]:
    """Return the number of a pod in its job."""
    meta = _part(pod, "metadata")
    for part in ("labels", "annotations"):
        text = str(_part(meta, part, names.INDEX_LABEL) or "")
        if text.isascii() and text.isdigit() and len(text) <= 6:
            return int(text)
    return None


def uid(found: Object) -> str:
    """Return the unique id that distinguishes an object from others with its name."""
    return str(_part(found, "metadata", "uid") or "")


def name(found: Object) -> str:
    """Return the name of an object."""
    return str(_part(found, "metadata", "name") or "")


def node(pod: Object) -> str:
    """Return the name of the node that a pod is on; empty until it is assigned to one."""
    return str(_part(pod, "spec", "nodeName") or "")


def container(pod: Object) -> Container:
    """Return the state of the container of a pod."""
    listed = _part(pod, "status", "containerStatuses")
    for one in listed if isinstance(listed, list) else ():
        if _part(one, "name") != names.CONTAINER:
            continue
        for state in ("terminated", "running", "waiting"):
            found = _part(one, "state", state)
            if isinstance(found, dict):
                code = found.get("exitCode")
                known = code if type(code) is int else None
                return Container(state, _text(found.get("reason")), str(found.get("message") or ""), known)
    if _part(pod, "status", "phase") in ("Succeeded", "Failed"):
        return Container("terminated", _text(_part(pod, "status", "reason")))
    return Container("waiting")


def is_deleted(pod: Object) -> bool:
    """Return whether a pod is being deleted."""
    return bool(_part(pod, "metadata", "deletionTimestamp"))


def alive(pods: Iterable[Object]) -> List[Object]:
    """Return the pods that have not ended, according to the cluster."""
    return [pod for pod in pods if container(pod).state != "terminated"]


def created(pod: Object) -> str:
    """Return when a pod was created, as a sortable text."""
    return str(_part(pod, "metadata", "creationTimestamp") or "")


def grace(pod: Object) -> float:
    """Return how many seconds a deleted pod may take to end."""
    found = _part(pod, "spec", "terminationGracePeriodSeconds")
    return float(min(found, _DAY_SECONDS)) if type(found) is int and found > 0 else 0.0


def standing(job: Optional[Object], pods: Iterable[Object], events: Iterable[Object] = ()) -> Standing:
    """
    Determine how far a job has got.

    Args:
        events: The events about the job, which explain why it has no pods.
    """
    if is_over(job):
        return Standing("ended")
    if is_suspended(job):
        queue = _text(_part(job, "metadata", "labels", "kueue.x-k8s.io/queue-name"))
        return Standing("queued", "suspended, waits in queue %s" % queue if queue else "suspended")
    listed = sorted(pods, key=lambda pod: index(pod) or 0)
    if not listed:
        said = [_text(one.get("message")) for one in events if one.get("reason") == "FailedCreate"]
        return Standing("queued", said[-1] if said else "has no pods yet", bool(said))
    waiting = [pod for pod in listed if container(pod).state == "waiting"]
    reasons = reasons_of(waiting)
    if any(container(pod).state != "waiting" for pod in listed if index(pod) == 0) and not reasons:
        return Standing("running")
    if reasons:
        # A pod that cannot start tells more than one that has no node yet.
        first = next((found for found in reasons if found.stuck), reasons[0])
        return first._replace(more=len(reasons) - 1)
    return Standing("starting", "%d of %d pods run" % (len(listed) - len(waiting), _count(job, len(listed))))


def _count(job: Optional[Object], otherwise: int) -> int:
    found = _part(job, "spec", "completions")
    return found if type(found) is int else otherwise


def reasons_of(pods: Iterable[Object]) -> List[Standing]:
    """Return, for each pod that does not run, what it waits for, if that is unusual."""
    waiting = (pod for pod in pods if container(pod).state == "waiting")
    return [found for found in map(_waits, waiting) if found.reason]


def _waits(pod: Object) -> Standing:
    """Return why one pod does not run."""
    host = names.host(index(pod) or 0)
    found = container(pod)
    if found.reason and found.reason not in _USUAL:
        said = ": %s" % _text(found.message) if found.message else ""
        return Standing("queued", found.reason + said, found.reason in _STUCK, host)
    scheduled = conditions(pod).get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return Standing("queued", _text(scheduled.get("message") or scheduled.get("reason")), host=host)
    return Standing("starting")


# -- the end without a word of the run ---------------------------------------------------------------


def disruption(pods: Iterable[Object]) -> Optional[Problem]:
    """Return the problem of a pod that the cluster disrupted or lost; None if there is no such pod."""
    found = [(pod, _holds(pod, "DisruptionTarget")) for pod in pods]
    targets = [(pod, condition) for pod, condition in found if condition]
    for pod, condition in targets:
        if condition.get("reason") == _PREEMPTED:
            message = "%s was preempted: %s" % (_placed(pod), _text(condition.get("message")) or _PREEMPTED)
            return problem("RUN_PREEMPTED", names.host(index(pod) or 0), message, _AGAIN)
    for pod, condition in targets:
        said = ": ".join(filter(None, (_text(condition.get("reason")), _text(condition.get("message")))))
        return problem("NODE_LOST", names.host(index(pod) or 0), "%s was evicted: %s" % (_placed(pod), said), _AGAIN)
    for pod, _ in found:
        if _part(pod, "status", "reason") == "NodeLost" or conditions(pod).get("Ready", {}).get("reason") == "NodeLost":
            return problem(
                "NODE_LOST", names.host(index(pod) or 0), "the node of %s is not ready" % _placed(pod), _AGAIN
            )
    return None


def _placed(pod: Object) -> str:
    where = node(pod)
    return "its pod on %s" % where if where else "its pod"


def ending(job: Optional[Object], pods: List[Object]) -> Problem:
    """
    Determine why a run without a verdict ended.

    Args:
        pods: The last known state of all pods; those of a failed job may be gone.
    """
    if job is None:
        return problem("RUN_STOPPED", None, "the job was deleted in Kubernetes")
    failed: Mapping[str, Any] = _holds(job, "Failed") or {}
    waits = reasons_of(pods)
    if failed.get("reason") == "DeadlineExceeded":
        why = "; it waited for %s" % waits[0].sentence if waits else ""
        return problem("TIMED_OUT", None, "the deadline of the job passed%s" % why, "ask for more with --timeout")
    found = disruption(pods)
    if found:
        return found
    for pod in pods:
        if container(pod).reason == "OOMKilled":
            message = "out of memory: the memory limit of its pod was reached"
            return problem("RANK_FAILED", names.host(index(pod) or 0), message, "ask for more with --memory")
    if waits:
        return problem("NODE_NOT_READY", waits[0].host, "its pod did not start: %s" % waits[0].reason)
    said = _text(failed.get("message"))
    if "DisruptionTarget" in said:
        return problem("NODE_LOST", None, "a pod of the job was evicted or preempted: %s" % said, _AGAIN)
    for pod in pods:
        own = container(pod)
        if own.state == "terminated" and own.exit_code:
            return _broken(names.host(index(pod) or 0), own)
    message = "the job ended without a record" + (": %s" % said if said else "")
    return problem("SUPERVISOR_LOST", None, message, None)


def _broken(host: str, own: Container) -> Problem:
    """Return what happened to a pod whose first process could not do its work."""
    said = _text(own.message)
    if own.reason in _NOT_STARTED:
        return problem("NODE_NOT_READY", host, "its container did not start: %s" % said, "the image needs python3")
    if said.startswith(host + ": "):
        # It could report the reason itself, before there was a run.
        is_denied = "Permission denied" in said
        remedy = "name the user of the image with --run-as-user UID" if is_denied else None
        return problem("NODE_NOT_READY", host, said[len(host) + 2 :], remedy)
    message = "its pod ended by itself with exit code %s%s" % (own.exit_code, said and ": " + said)
    return problem("SUPERVISOR_LOST", host, message, None)
