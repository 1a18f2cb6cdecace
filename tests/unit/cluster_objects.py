# SPDX-License-Identifier: Apache-2.0
"""Jobs and pods of a run as a cluster tells of them, and a server that knows them, for tests."""

import json

from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters

RUN = "20261201-045000-abcd0123"
NAME = names.name(RUN)
ENDED_AT = "2026-12-01T05:00:00Z"
# Anything that JSON can say, in any place, below names that objects really have.
WORDS = st.sampled_from(
    [
        *(
            "metadata",
            "spec",
            "status",
            "labels",
            "annotations",
            "conditions",
            "containerStatuses",
            "state",
            "name",
            "uid",
        ),
        *(
            "terminated",
            "waiting",
            "running",
            "reason",
            "message",
            "exitCode",
            "type",
            "phase",
            "suspend",
            "completions",
        ),
        *(
            "resourceVersion",
            "items",
            "creationTimestamp",
            "terminationGracePeriodSeconds",
            "deletionTimestamp",
            "object",
        ),
        names.INDEX_LABEL,
    ]
)
VALUES = st.sampled_from(
    [
        "run",
        "True",
        "False",
        "Failed",
        "Complete",
        "DisruptionTarget",
        "PodScheduled",
        "OOMKilled",
        "0",
        0,
        1,
        True,
        "x",
        None,
    ]
)
LEAVES = st.one_of(VALUES, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(WORDS, st.text(max_size=3)), inner)),
    max_leaves=20,
)


def condition(kind, reason="", message="", status="True"):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ENDED_AT}


def job(*conditions, **spec):
    return {
        "kind": "Job",
        "metadata": {"name": NAME, "uid": "job", "labels": {names.RUN_LABEL: RUN}},
        "spec": {"completions": 2, **spec},
        "status": {"conditions": list(conditions)},
    }


FAILED = job(
    condition("Failed", "PodFailurePolicy", "Pod for index 0 failed with exit code 6 matching FailJob rule at index 1")
)
COMPLETE = job(condition("Complete"))
SUSPENDED = job(condition("Suspended"), suspend=True)


def pod(index=0, *conditions, uid=None, node="node-a", made=ENDED_AT, deleted=False, grace=None, **state):
    """Return a pod whose container stands so: ``running``, ``waiting`` or ``terminated``."""
    meta = {"name": f"{NAME}-{index}-{uid or 'x'}", "uid": uid or f"pod-{index}", "creationTimestamp": made}
    if deleted:
        meta["deletionTimestamp"] = ENDED_AT
    statuses = [{"name": "run", "state": state}] if state else []
    return {
        "kind": "Pod",
        "metadata": {**meta, "labels": {names.INDEX_LABEL: str(index), names.RUN_LABEL: RUN}},
        "spec": {**({"nodeName": node} if node else {}), **({"terminationGracePeriodSeconds": grace} if grace else {})},
        "status": {"conditions": list(conditions), "containerStatuses": statuses},
    }


def running(index=0, **more):
    return pod(index, running={"startedAt": ENDED_AT}, **more)


def waiting(index=0, reason="", message="", *conditions, **more):
    return pod(index, *conditions, waiting={"reason": reason, "message": message}, **more)


def ended(index=0, code=0, message="", reason="", *conditions, **more):
    said = message if isinstance(message, str) else json.dumps(message)
    return pod(index, *conditions, terminated={"exitCode": code, "message": said, "reason": reason}, **more)


class Answers(list):
    """A stream of lines; the last one may be cut."""

    def __init__(self, lines=(), rest=b""):
        super().__init__(lines)
        self.rest = rest
        self.is_closed = False

    def close(self):
        self.is_closed = True


class FakeCluster:
    """A namespace with objects that a test changes; what is in ``down`` is raised instead of an answer."""

    namespace = "train"

    def __init__(self, job=None, *pods, logs=None):
        self.job, self.pods, self.logs = job, list(pods), logs or {}
        self.said, self.down, self.deleted, self.told = [], None, [], []

    def _ask(self):
        if self.down is not None:
            raise self.down

    def list(self, kind, selector, seconds=0.0):
        self._ask()
        assert selector == f"{names.RUN_LABEL}={RUN}"
        found = self.pods if kind == clusters.POD else [self.job] if self.job else []
        return clusters.Listed(list(found), "1")

    def get(self, kind, name):
        self._ask()
        return self.job if kind == clusters.JOB else None

    def events(self, name):
        self._ask()
        return self.said

    def log(self, pod, container, since_seconds, follow, tail=None):
        self._ask()
        assert container == "run"
        if pod not in self.logs:
            raise Refused("SCHEDULER_REFUSED", "Kubernetes: not found", status=404)
        return Answers(self.logs[pod])

    def annotate(self, pod, name, value):
        self._ask()
        self.told.append((pod, name, value))

    def delete(self, kind, name):
        self._ask()
        self.deleted.append((kind, name))
        was_there = kind == clusters.JOB and self.job is not None
        if kind == clusters.JOB:
            self.job, self.pods = None, []
        return was_there
