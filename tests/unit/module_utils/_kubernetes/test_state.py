# SPDX-License-Identifier: Apache-2.0
"""What a job and its pods say about a run, whatever a cluster sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import state, word
from tests.unit.cluster_objects import COMPLETE, FAILED, JSON, SUSPENDED, condition, ended, job, pod, running, waiting

DEADLINE = job(condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"))
PREEMPTED = condition("DisruptionTarget", "PreemptionByScheduler", "preempting to accommodate a higher priority pod")
EVICTED = condition("DisruptionTarget", "EvictionByEvictionAPI", "drained")
DISRUPTED = job(
    condition("Failed", "PodFailurePolicy", "Pod ns/x has condition DisruptionTarget matching FailJob rule")
)
OOM = ended(1, 137, reason="OOMKilled")
STUCK = waiting(1, "ImagePullBackOff", 'Back-off pulling image "nowhere/x"')

# In the order in which one cause goes before another: each has all later ones beside it.
ENDS = [
    (None, [pod(0, PREEMPTED), OOM, STUCK], "RUN_STOPPED", None, "the job was deleted"),
    (DEADLINE, [pod(0, PREEMPTED), OOM, STUCK], "TIMED_OUT", None, "the deadline of the job passed"),
    (
        FAILED,
        [pod(0, EVICTED), pod(2, PREEMPTED), OOM, STUCK],
        "RUN_PREEMPTED",
        "pod-2",
        "on node-a was preempted: preempting to",
    ),
    (FAILED, [pod(2, EVICTED), OOM, STUCK], "NODE_LOST", "pod-2", "evicted: EvictionByEvictionAPI: drained"),
    (FAILED, [pod(2, condition("Ready", "NodeLost", status="Unknown")), OOM], "NODE_LOST", "pod-2", "not ready"),
    (FAILED, [ended(0, 1), OOM, STUCK], "RANK_FAILED", "pod-1", "out of memory"),
    (
        FAILED,
        [ended(0, 1), STUCK],
        "NODE_NOT_READY",
        "pod-1",
        'did not start: ImagePullBackOff: Back-off pulling image "nowhere/x"',
    ),
    (DISRUPTED, [], "NODE_LOST", None, "has condition DisruptionTarget"),
    (FAILED, [ended(0), ended(1, 3, "x\ny")], "SUPERVISOR_LOST", "pod-1", "by itself with exit code 3: x y"),
    (FAILED, [], "SUPERVISOR_LOST", None, "without a record: Pod for index 0 failed with exit code 6"),
    (COMPLETE, [ended(0), ended(1)], "SUPERVISOR_LOST", None, "the job ended without a record"),
]


@pytest.mark.parametrize(("found", "pods", "code", "host", "said"), ENDS)
def test_the_cause_of_an_end_without_a_verdict(found, pods, code, host, said):
    entry = state.ending(found, pods)

    assert (entry["code"], entry["host"]) == (code, host) and said in entry["message"]
    assert word.of_cluster(found, pods)["exit_code"] != 0


UNSCHEDULABLE = condition(
    "PodScheduled", "Unschedulable", "0/3 nodes are available: 3 Insufficient amd.com/gpu.", "False"
)
QUOTA = {"reason": "FailedCreate", "message": "pods is forbidden: exceeded\nquota: gpus"}
STANDINGS = [
    (None, [], [], "ended", "", False),
    (COMPLETE, [running(0)], [], "ended", "", False),
    (SUSPENDED, [], [], "queued", "suspended", False),
    (SUSPENDED, [running(0)], [], "queued", "suspended", False),
    (job(), [], [], "queued", "has no pods yet", False),
    (
        job(),
        [],
        [{"reason": "SuccessfulCreate", "message": "x"}, QUOTA],
        "queued",
        "pods is forbidden: exceeded quota: gpus",
        True,
    ),
    (
        job(),
        [pod(0, UNSCHEDULABLE), pod(1, UNSCHEDULABLE)],
        [],
        "queued",
        "pod-0: 0/3 nodes are available: 3 Insufficient amd.com/gpu. (and 1 more)",
        False,
    ),
    (
        job(),
        [pod(0, UNSCHEDULABLE), STUCK],
        [],
        "queued",
        'pod-1: ImagePullBackOff: Back-off pulling image "nowhere/x" (and 1 more)',
        True,
    ),
    (
        job(),
        [waiting(0, "CreateContainerConfigError", "secret not found")],
        [],
        "queued",
        "pod-0: CreateContainerConfigError: secret not found",
        True,
    ),
    (job(), [waiting(0, "ContainerCreating"), running(1)], [], "starting", "1 of 2 pods run", False),
    (job(), [running(0), waiting(1, "ContainerCreating")], [], "running", "", False),
    (job(), [running(0), waiting(1, "ErrImagePull")], [], "queued", "pod-1: ErrImagePull", True),
    (job(), [running(1), running(0)], [], "running", "", False),
    (job(), [ended(0), ended(1)], [], "running", "", False),
    (job(condition("Failed", status="False")), [running(0)], [], "running", "", False),
    (job(condition("FailureTarget")), [running(0)], [], "running", "", False),
]


@pytest.mark.parametrize(("found", "pods", "said", "phase", "sentence", "stuck"), STANDINGS)
def test_how_far_a_job_has_come(found, pods, said, phase, sentence, stuck):
    known = state.standing(found, pods, said)

    assert (known.phase, known.sentence, known.stuck) == (phase, sentence, stuck)


def test_a_queue_is_named():
    queued = {**SUSPENDED, "metadata": {"labels": {"kueue.x-k8s.io/queue-name": "gpus"}}}

    assert state.standing(queued, []).sentence == "suspended, waits in queue gpus"


ALIVE = [running(0), waiting(0), pod(0), pod(0, deleted=True, running={})]


@pytest.mark.parametrize("found", ALIVE)
def test_a_pod_lives_until_its_container_is_known_to_have_ended(found):
    lost = {**found, "status": {**found["status"], "phase": "Running", "reason": "NodeLost"}}

    assert state.alive([found, lost, ended(1)]) == [found, lost]


@given(st.one_of(JSON, st.just(SUSPENDED)), st.lists(JSON.filter(lambda found: isinstance(found, dict)), max_size=3))
def test_nothing_in_an_object_raises(found, pods):
    found = found if isinstance(found, dict) else None
    for one in [*pods, {"metadata": found, "status": {"conditions": pods, "containerStatuses": pods}, "spec": found}]:
        for look in (state.index, state.uid, state.name, state.node, state.container, state.is_deleted, state.created):
            look(one)
        assert 0 <= state.grace(one) <= 86400
        assert one not in state.alive([one]) or state.container(one).state != "terminated"
    known = state.standing(found, pods, pods)
    assert len(known.sentence) < 2000 and "\n" not in known.sentence
    assert word.of_cluster(found, pods)["problems"], "no object of chance is a success"


LABELS = ["", "-1", "1.0", "\u0661", "0x1", "1234567", " 1", None, 1.5, [], {}]


@pytest.mark.parametrize("label", LABELS)
def test_a_pod_has_a_number_or_none(label):
    found = pod(0)
    found["metadata"]["labels"] = {"batch.kubernetes.io/job-completion-index": label}

    assert state.index(found) is None
