# SPDX-License-Identifier: Apache-2.0
"""
Follow a run in a cluster: its job and pods by two watches, its output and events by the log of each pod.

    job, pods, lines ──► one queue ──► events, in the order in which they arrive ──► the result

The result is the one that the conductor printed; without it, what the cluster keeps of the first pod, or reports about
the job. Private to the collection.
"""

from __future__ import annotations

import queue
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import orders, state, streams, word
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.pod_reading import Reader

_TURN_SECONDS = 0.2
# After the result, for the last lines of all pods; after the end of the job, for what explains it.
_DRAIN_SECONDS, _LATE_SECONDS = 15.0, 4.0
# How long the server may be unreachable before anything is known about the run.
_AWAY_SECONDS = 60.0
# Events explain why a job has no pods; they are requested rarely.
_EVENTS_SECONDS = 10.0

Result = Dict[str, Any]
Frame = wire.Frame


class Listener(NamedTuple):
    """The follower: gets frames, and what the run waits for."""

    frames: Callable[[List[Frame]], None]
    told: Callable[[str], None]
    # Called once, when all existing output was read.
    caught_up: Callable[[], None]


class _Pod:
    """One known pod, and the reader of its log."""

    def __init__(self, found: Dict[str, Any]) -> None:
        number = state.index(found) or 0
        self.found, self.is_gone = found, False
        self.reader = Reader(names.host(number), number == 0)
        self.log: Optional[streams.PodLog] = None
        self.has_log_ended = False

    @property
    def is_done(self) -> bool:
        """Whether it will send nothing more; the result is the last line of the first pod."""
        return self.has_log_ended or self.log is None or self.reader.result is not None


class Following:
    """Follows one run to its end, or, without ``follow``, reads the existing output; a context manager."""

    def __init__(self, cluster: Cluster, run_id: str, listener: Listener, follow: bool = True) -> None:
        """
        Prepare.

        Args:
            follow: Whether to wait for more output.
        """
        self._cluster, self._run_id, self._listener, self._follow = cluster, run_id, listener, follow
        self._queue: streams.Queue = queue.Queue()
        selector = names.RUN_LABEL + "=" + run_id
        self._watches = [streams.Watch(cluster, kind, selector, self._queue) for kind in (clusters.JOB, clusters.POD)]
        self._listed: Dict[str, bool] = {}
        self._job: Optional[Dict[str, Any]] = None
        self._was_there = self._had_begun = False
        self._pods: Dict[str, _Pod] = {}
        self._reasons: Dict[str, str] = {}
        self._past: Set[str] = set()
        self._refused: Optional[Problem] = None
        self._silent: Optional[Problem] = None
        self._silent_at: Optional[float] = None
        self._told = ""
        self._is_late = True
        self._events: List[Dict[str, Any]] = []
        self._events_at = 0.0
        self._over_at: Optional[float] = None
        self._result_at: Optional[float] = None

    def __enter__(self) -> Following:
        for watch in self._watches:
            watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        streams.end([*self._watches, *(pod.log for pod in self._pods.values() if pod.log)])

    # -- what is known --------------------------------------------------------------------------

    @property
    def pods(self) -> List[Dict[str, Any]]:
        """All known pods of the latest start of the job, by number."""
        return sorted((pod.found for pod in self._pods.values()), key=lambda found: state.index(found) or 0)

    @property
    def has_begun(self) -> bool:
        """Whether the first pod has run, so that the run can be told to end gracefully."""
        return any(state.index(pod) == 0 and state.container(pod).state != "waiting" for pod in self._living())

    @property
    def first_pod(self) -> str:
        """The name of the first pod, if it exists."""
        return next((state.name(pod) for pod in self._living() if state.index(pod) == 0), "")

    def standing(self) -> state.Standing:
        """Return how far the job has got."""
        return state.standing(self._job, self._living(), self._events)

    def _living(self) -> List[Dict[str, Any]]:
        """Return the pods that exist."""
        return [pod.found for pod in self._pods.values() if not pod.is_gone]

    def _leader(self) -> Optional[Reader]:
        return next((pod.reader for pod in self._pods.values() if state.index(pod.found) == 0), None)

    # -- turns ----------------------------------------------------------------------------------

    def turn(self) -> Optional[Result]:
        """
        Process what has arrived, or wait a moment for it; return the result once the run is over.

        Raises:
            Refused: If the server permanently refuses a needed request; without ``follow`` also if it cannot be
                reached.
        """
        try:
            news = self._queue.get(timeout=_TURN_SECONDS)
        except queue.Empty:
            news = None
        while news is not None:
            self._take(news)
            news = self._queue.get_nowait() if not self._queue.empty() else None
        self._give_up()
        if len(self._listed) < len(self._watches):
            return None
        self._catch_up()
        self._tell()
        return self._ended()

    def _give_up(self) -> None:
        """Raise the reason why the end of the run cannot be learned; a mere reader has little patience."""
        found = self._refused
        if self._silent_at and not (self._follow and len(self._listed) == len(self._watches)):
            seconds = _AWAY_SECONDS if self._follow else clusters.ANSWER_SECONDS
            found = found or (self._silent if time.monotonic() - self._silent_at > seconds else None)
        if found is not None:
            raise Refused(found["code"], found["message"], found["remedy"])

    def _take(self, news: Any) -> None:
        if isinstance(news, streams.Line):
            pod = self._pods.get(news.uid)
            if pod is not None:
                self._listener.frames(list(pod.reader.take(news.at, news.text)))
        elif isinstance(news, streams.Listed):
            self._listed[news.kind] = True
            self._take_list(news)
        elif isinstance(news, streams.Changed):
            self._take_one(news.kind, news.found, news.what == "DELETED")
        elif isinstance(news, streams.LogEnd) and news.uid in self._pods:
            self._pods[news.uid].has_log_ended = True
        elif isinstance(news, streams.Gap) and news.uid in self._pods:
            pod = self._pods[news.uid]
            self._report("the log of %s has a gap: its node has dropped older lines" % state.name(pod.found))
        elif isinstance(news, streams.Denied):
            self._refused = self._refused or (news.problem if news.is_watch else None)
            self._report(news.problem["message"])
        elif isinstance(news, streams.Trouble):
            self._silent_at = (self._silent_at or time.monotonic()) if news.problem else None
            self._silent = news.problem
            self._report("%s; trying again" % news.problem["message"] if news.problem else "the server answers again")

    def _take_list(self, listed: streams.Listed) -> None:
        known = {state.uid(found) for found in listed.items}
        if listed.kind == clusters.JOB and not listed.items:
            self._job = None
        for uid, pod in self._pods.items():
            if listed.kind == clusters.POD and uid not in known:
                self._take_one(clusters.POD, pod.found, True)
        for found in listed.items:
            self._take_one(listed.kind, found, False)

    def _take_one(self, kind: str, found: Dict[str, Any], is_gone: bool) -> None:
        if kind == clusters.JOB:
            self._job, self._was_there = None if is_gone else found, True
            return
        pod = self._known(found, is_gone)
        if pod is None:
            return
        pod.found, pod.is_gone = found, is_gone
        # It may find room when others have ended, and still be too late.
        self._reasons.update((one.host or "", one.reason) for one in state.reasons_of([found]))
        own = state.container(found)
        if pod.log is None and own.state != "waiting" and not is_gone:
            pod.log = streams.PodLog(self._cluster, self._queue, state.name(found), state.uid(found), self._follow)
            pod.log.start()
        if pod.log is not None and (own.state == "terminated" or is_gone):
            pod.log.is_over.set()

    def _known(self, found: Dict[str, Any], is_gone: bool) -> Optional[_Pod]:
        """Return a pod of the latest start; one of an earlier start, which a queue has ended, is replaced by it."""
        uid, number = state.uid(found), state.index(found)
        if uid in self._pods or uid in self._past or number is None:
            return self._pods.get(uid)
        for other, pod in list(self._pods.items()):
            if state.index(pod.found) == number:
                if is_gone or state.created(found) < state.created(pod.found):
                    return None
                if pod.log is not None:
                    pod.log.stop()
                del self._pods[other]
                self._past.add(other)
        self._pods[uid] = _Pod(found)
        return self._pods[uid]

    def _catch_up(self) -> None:
        if self._is_late and (not self._follow or self._queue.empty()):
            self._is_late = False
            self._listener.caught_up()

    def _report(self, text: str) -> None:
        if text and text != self._told:
            self._told = text
            self._listener.told(text)

    def _tell(self) -> None:
        """Report what the run waits for, until its own conductor does."""
        if self._silent is not None or self._job is None or not self._follow:
            return
        now = time.monotonic()
        if not self._pods and now - self._events_at > _EVENTS_SECONDS:
            self._events_at = now
            self._events = orders.events(self._cluster, names.name(self._run_id))
        found = self.standing()
        self._had_begun = self._had_begun or found.phase == "running"
        if found.phase in ("queued", "starting"):
            again = "again " if self._had_begun and found.phase == "queued" else ""
            self._report("%s%s" % (again, found.sentence))

    # -- the end --------------------------------------------------------------------------------

    def _ended(self) -> Optional[Result]:
        leader = self._leader()
        if leader and leader.result and leader.result.get("by_scheduler") and state.is_suspended(self._job):
            # A queue has taken its nodes, and will start it again with other pods.
            leader.result = self._result_at = None
        now = time.monotonic()
        if leader and leader.result is not None:
            self._result_at = self._result_at or now
            if not self._is_drained() and now - self._result_at < _DRAIN_SECONDS:
                return None
            return self._explained(leader.result, now)
        if not self._follow:
            return {"detached": True, "problems": [], "exit_code": 0} if self._is_drained() else None
        if self._job is None and not self._was_there and not self._pods:
            where = "run %s is not in namespace %s" % (self._run_id, self._cluster.namespace)
            return {**word.failed(problem("RUN_UNKNOWN", None, where)), "is_unknown": True}
        if not self._is_over():
            self._over_at = None
            return None
        self._over_at = self._over_at or now
        if now - self._over_at < (_LATE_SECONDS if self._is_drained() else _DRAIN_SECONDS + self._grace()):
            return None
        return word.of_cluster(self._job, self.pods)

    def _is_over(self) -> bool:
        """Return whether the job is over; if it is gone, its pods may still be running."""
        left = state.alive(self._living()) if self._job is None else []
        return state.is_over(self._job) and all(map(state.is_deleted, left))

    def _grace(self) -> float:
        """Return how long pods may still print: deleting a job does not wait for them."""
        return max(map(state.grace, state.alive(self._living())), default=0.0)

    def _is_drained(self) -> bool:
        return all(pod.is_done for pod in self._pods.values())

    def _explained(self, result: Result, now: float) -> Optional[Result]:
        """Explain why the cluster ended a run that only knows that it did."""
        if not result.get("by_scheduler"):
            return word.explained(result, self._reasons)
        found = state.disruption(self.pods)
        assert self._result_at is not None
        if found is None and not state.is_over(self._job) and now - self._result_at < _DRAIN_SECONDS:
            return None
        if found is None:
            found = word.reason(self._job, self.pods)
        return word.judged(result, found) if found else result
