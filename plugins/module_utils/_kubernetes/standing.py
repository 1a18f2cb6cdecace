# SPDX-License-Identifier: Apache-2.0
"""The state of a run in a cluster, determined with a few requests. Private to the collection."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import OUTCOMES
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    Shape,
    fields,
    maybe,
    one_of,
    second,
    text,
    truth,
    whole,
)
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import orders, state, word
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.pod_reading import Reader, stamped

Object = Dict[str, Any]
# The conductor prints the state of the run at least every ten seconds.
_LOOK_BACK_SECONDS = 30
_MOST_LINES = 200000
_STOPPED = ("RUN_STOPPED", "INTERRUPTED")
_FIELDS: Dict[str, Shape] = {
    "outcome": one_of(*OUTCOMES),
    "exit_code": maybe(whole(-1024, 1 << 16)),
    "signal": maybe(whole(0, 128)),
    "oom": truth,
    "ranks_joined": whole(0, 1 << 17),
    "stopped": truth,
    "reason": maybe(text(64)),
    "time": second,
}
_record = fields({"outcome": _FIELDS["outcome"]}, _FIELDS)
_STATE = fields({"stage": text(64)}, {"began": maybe(second), "joined": whole(0, 1 << 17)})


class Standing(NamedTuple):
    """
    The state of a run: the fields of a verdict, see ``_follow.verdict``, and each of its nodes by host.

    ``problem`` is why it ended, ``job`` and ``pods`` are its objects in the cluster.
    """

    status: str
    problem: Optional[codes.Problem] = None
    cause: Optional[str] = None
    began: Optional[float] = None
    ended: Optional[float] = None
    joined: Optional[int] = None
    nodes: Mapping[str, Dict[str, Any]] = {}
    job: Optional[Object] = None
    pods: List[Object] = []

    @property
    def first_pod(self) -> str:
        """The name of the first pod, if it exists and its container has begun; empty otherwise."""
        for pod in self.pods:
            if state.index(pod) == 0 and state.container(pod).state != "waiting":
                return state.name(pod)
        return ""


def of(cluster: Cluster, run_id: str, seconds: float = clusters.ANSWER_SECONDS) -> Standing:
    """
    Determine the state of a run.

    Args:
        seconds: How long the server may take to answer.

    Raises:
        Refused: If the server refuses, or cannot be reached.
    """
    selector = "%s=%s" % (names.RUN_LABEL, run_id)
    job = next(iter(cluster.list(clusters.JOB, selector, seconds).items), None)
    pods = sorted(cluster.list(clusters.POD, selector, seconds).items, key=lambda pod: state.index(pod) or 0)
    nodes = {names.host(number): _node(pod) for pod in pods for number in [state.index(pod)] if number is not None}
    if job is None and not pods:
        return Standing("unknown", nodes=nodes)
    known = Standing("running", nodes=nodes, job=job, pods=pods)
    # A job that is gone may have left its pods behind.
    is_left = job is None and bool(state.alive(pods))
    if state.is_over(job) and not is_left:
        return _ended(known)
    found = state.standing(job, pods, [] if pods else orders.events(cluster, names.name(run_id)))
    if found.phase != "running" and not is_left:
        return known._replace(status="queued", cause=found.sentence or None, nodes={})
    reader = _lately(cluster, known.first_pod) if known.first_pod else Reader("", True)
    said = reader.state if _STATE(reader.state) else {}
    known = known._replace(began=said.get("began"), joined=said.get("joined"))
    # The first pod ends some time after the run.
    if reader.result is not None and not reader.result.get("by_scheduler"):
        return _judged(known._replace(ended=reader.result.get("ended")), reader.result["problems"])
    return known


def _ended(known: Standing) -> Standing:
    result = word.of_cluster(known.job, known.pods)
    told = word.verdict(known.pods) or {}
    ended = told.get("ended") or finished(known.job)
    return _judged(known._replace(began=told.get("began"), ended=ended, joined=told.get("joined")), result["problems"])


def _judged(known: Standing, problems: List[codes.Problem]) -> Standing:
    if not problems:
        return known._replace(status="succeeded")
    first = problems[0]
    is_stopped = first["code"] in _STOPPED
    return known._replace(
        status="stopped" if is_stopped else "failed", problem=first, cause=None if is_stopped else codes.cause(first)
    )


def finished(job: Optional[Object]) -> Optional[float]:
    """Return when a job ended, in seconds since the epoch, according to the server."""
    found = state.conditions(job)
    for kind in ("Complete", "Failed"):
        at, _ = stamped(str(found.get(kind, {}).get("lastTransitionTime") or "").encode())
        if at is not None:
            return at.epoch
    return None


def _node(pod: Object) -> Dict[str, Any]:
    """Describe one node in the words of ``_runs.run_state``."""
    own = state.container(pod)
    record = wire.parse_or_none(own.message) if own.state == "terminated" else None
    if state.index(pod) == 0 and record is not None:
        # The last message of the first pod is about the whole run, and contains its own part.
        record = record.get("own")
    ended = {"outcome": "exited", "exit_code": own.exit_code, "signal": None, "stopped": False}
    if record is not None and _record(record):
        ended.update((name, record[name]) for name in _FIELDS if name in record)
    states = {"waiting": "armed", "running": "running", "terminated": "exited"}
    found = {"state": states[own.state], "exit": ended if own.state == "terminated" else None}
    unasked = dict.fromkeys(("container", "storage", "processes"))
    return {**unasked, **found, "joined": ended.get("ranks_joined", 0), "node": state.node(pod), "pod": state.name(pod)}


def _lately(cluster: Cluster, pod: str) -> Reader:
    """Read the recent messages of the conductor; nothing if its pod's log cannot be read now."""
    reader = Reader("", True)
    with contextlib.suppress(Refused):
        for line in _bounded(cluster.log(pod, names.CONTAINER, _LOOK_BACK_SECONDS, False)):
            for _ in reader.take(*stamped(line)):
                pass
    return reader


def plan(cluster: Cluster, pod: str) -> Optional[Dict[str, Any]]:
    """
    Return the latest plan of a run, from the log of its first pod; None if there is none yet, or no longer.

    Raises:
        Refused: If the server refuses, or cannot be reached.
    """
    reader, found = Reader("", True), None
    for line in _bounded(cluster.log(pod, names.CONTAINER, None, False)):
        for event, _ in reader.take(*stamped(line)):
            if event["event"] in (events.PLANNED, events.RESTART) and isinstance(event.get("plan"), dict):
                found = event["plan"]
    return found


def _bounded(stream: clusters.Stream) -> Any:
    try:
        for number, line in enumerate(stream):
            if number >= _MOST_LINES:
                return
            yield line
    finally:
        stream.close()
