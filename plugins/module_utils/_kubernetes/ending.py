# SPDX-License-Identifier: Apache-2.0
"""
End a run in a cluster with proof, find the latest run, and remove those that ended long ago.

Private to the collection.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import STOP_SECONDS
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import orders, standing, state
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.standing import Standing

_OURS = "%s=%s" % (names.MANAGER_LABEL, names.MANAGER)
_LOOK_SECONDS = 0.3
# On top of the ranks' time to end: for the order to reach the pod, for records, and for the end of the pods.
_MORE_SECONDS, _DELETE_SECONDS = 90.0, 120.0
# For all of that if ranks get no time to end.
_FORCED_SECONDS = 20.0


class Ended(NamedTuple):
    """
    How a run was ended: whether anything was done, and why it cannot be proven that nothing is left.

    ``had_ended`` is whether there was nothing to end, ``begun`` whether the first pod had run, ``deleted`` whether
    nothing of the run is in the cluster any more.
    """

    changed: bool
    problem: Optional[codes.Problem] = None
    had_ended: bool = False
    begun: bool = False
    deleted: bool = False


class Old(NamedTuple):
    """A run that has ended, and when, in seconds since the epoch."""

    run_id: str
    ended: float


def latest(cluster: Cluster) -> Optional[str]:
    """Return the id of the run whose job was created last; None if there is none."""
    found = cluster.list(clusters.JOB, _OURS).items
    return max(map(_created, found))[1] if found else None


def _created(job: Dict[str, Any]) -> Tuple[str, str]:
    about = job["metadata"]
    return str(about.get("creationTimestamp")), _run_id(job)


def _run_id(job: Dict[str, Any]) -> str:
    return str((job["metadata"].get("labels") or {}).get(names.RUN_LABEL) or "")


def left(found: Standing) -> Optional[str]:
    """Return which parts of a run are still running according to the cluster; None once all have ended."""
    alive = [pod for pod in found.pods if state.container(pod).state != "terminated"]
    if alive:
        where = state.node(alive[0])
        more = " and %d more" % (len(alive) - 1) if len(alive) > 1 else ""
        return "pod %s%s%s has not ended" % (state.name(alive[0]), " on " + where if where else "", more)
    return None if state.is_over(found.job) else "job %s has not ended" % state.name(found.job or {})


def stop(cluster: Cluster, run_id: str, force: bool = False) -> Ended:
    """
    Stop a run gracefully, and delete what does not end.

    Args:
        force: Whether to kill its processes instead.

    Raises:
        Refused: If the server refuses, or cannot be reached.
    """
    found = standing.of(cluster, run_id)
    if found.job is None and not found.pods:
        # Objects that the cluster does not delete with a job may be left of it.
        return Ended(orders.delete(cluster, run_id), had_ended=True, deleted=True)
    begun = bool(found.first_pod)
    if left(found) is None:
        return Ended(False, had_ended=True, begun=begun)
    if begun and not state.is_over(found.job):
        _tell(cluster, run_id, found.first_pod, "kill" if force else "stop")
        seconds = _FORCED_SECONDS if force else STOP_SECONDS + _MORE_SECONDS
        if _wait(cluster, run_id, lambda seen: left(seen) is None, seconds):
            return Ended(True, begun=begun)
    removed = remove(cluster, run_id)
    return removed._replace(changed=True, begun=begun, deleted=removed.problem is None)


def remove(cluster: Cluster, run_id: str) -> Ended:
    """
    Delete all objects of a run, and wait until they are gone.

    Raises:
        Refused: If the server refuses, or cannot be reached.
    """
    changed = orders.delete(cluster, run_id)
    if _wait(cluster, run_id, lambda seen: seen.job is None and not seen.pods, _DELETE_SECONDS):
        return Ended(changed)
    what = left(standing.of(cluster, run_id)) or "its objects are not deleted yet"
    remedy = "stop the run again; or ask the cluster's operator"
    return Ended(changed, codes.problem("STOP_UNVERIFIED", None, what, remedy))


def _tell(cluster: Cluster, run_id: str, pod: str, order: str) -> None:
    try:
        orders.tell(cluster, pod, order)
    except Refused as refused:
        # Its pod may have ended just now; then the cluster's state decides.
        if refused.is_unreachable or left(standing.of(cluster, run_id)) is not None:
            raise


def _wait(cluster: Cluster, run_id: str, is_reached: Callable[[Standing], bool], seconds: float) -> bool:
    """Check, at growing intervals, whether a state is reached; retry a server that does not answer."""
    deadline, pause = time.monotonic() + seconds, _LOOK_SECONDS
    while True:
        try:
            if is_reached(standing.of(cluster, run_id)):
                return True
        except Refused as refused:
            if not refused.is_unreachable or time.monotonic() >= deadline:
                raise
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(2.0, pause * 1.5)


def old(cluster: Cluster, seconds: float) -> List[Old]:
    """
    Return the runs that ended longer ago than ``seconds``, the oldest first.

    Raises:
        Refused: If the server refuses, or cannot be reached.
    """
    jobs = [job for job in cluster.list(clusters.JOB, _OURS).items if state.is_over(job)]
    found = [Old(_run_id(job), standing.finished(job) or 0.0) for job in jobs]
    due = [one for one in found if one.run_id and one.ended and time.time() - one.ended > seconds]
    return sorted(due, key=lambda one: one.ended)


def would(cluster: Cluster, run_id: str, removes: bool) -> bool:
    """
    Return whether ending a run would change anything.

    Args:
        removes: Whether its objects are also removed.

    Raises:
        Refused: If the server refuses, or cannot be reached.
    """
    found = standing.of(cluster, run_id)
    if found.job is not None or found.pods:
        return removes or left(found) is not None
    kinds = (clusters.SERVICE, clusters.CONFIG_MAP, clusters.SECRET)
    return removes and any(cluster.get(kind, names.name(run_id)) for kind in kinds)
