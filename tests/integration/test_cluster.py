# SPDX-License-Identifier: Apache-2.0
"""The stand-in for a Kubernetes cluster, seen by the real Python client and the real kubectl."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import threading
import uuid
from pathlib import Path

import kubernetes
import pytest
import yaml
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError, ProtocolError

from madctl.lab import power
from tests.integration.cluster import cluster as stand_in
from tests.integration.command import JOBS, wait_for

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
]
NAME = "madctl-20261201-0450"
LOOP = "echo up; while :; do sleep 0.05; done"
WAIT = f"trap 'echo term; exit 0' TERM; {LOOP}"
FAIL = WAIT.replace("exit 0", "exit 143")
UNTIL_TOLD = "until grep -q go= /madctl-orders/annotations; do sleep 0.05; done"
MARK = "stand-in-9f1c"


def last(first, others):
    """A script in which pod 0 does its part when it is told to, and all others do theirs at once."""
    return f"if [ $JOB_COMPLETION_INDEX = 0 ]; then {UNTIL_TOLD}; {first}; else {others}; fi"


@pytest.fixture(scope="module")
def lab():
    name, before = f"test-{uuid.uuid4().hex[:8]}", Path.cwd()
    os.chdir(JOBS)
    try:
        yield power.up(name, 3, {})
    finally:
        os.chdir(before)
        power.down(name)


@pytest.fixture(scope="module")
def whole(lab):
    with stand_in.running(lab) as found:
        yield found


class Client:
    """The real Python client, as a user has it."""

    def __init__(self, cluster):
        self.cluster, self.namespace = cluster, cluster.namespace
        self.api = kubernetes.config.new_client_from_config(cluster.kubeconfig)
        self.core, self.batch = kubernetes.client.CoreV1Api(self.api), kubernetes.client.BatchV1Api(self.api)

    def create(self, script, **more):
        """Create the four objects of a run, whose pods run a script of a shell."""
        core, space = self.core, self.namespace
        meta = {"name": NAME, "labels": {"madctl.dev/run": "r"}}
        key = base64.b64encode(b"k" * 32).decode()
        core.create_namespaced_secret(space, {"metadata": meta, "immutable": True, "data": {"key": key}})
        binary = {"programs.zip": base64.b64encode(bytes(range(256))).decode()}
        core.create_namespaced_config_map(space, {"metadata": meta, "data": {"pod.json": "{}"}, "binaryData": binary})
        core.create_namespaced_service(space, {"metadata": meta, "spec": service()})
        return self.batch.create_namespaced_job(space, job(script, **more))

    def pods(self):
        return sorted(self.core.list_namespaced_pod(self.namespace).items, key=lambda pod: pod.metadata.name)

    def running(self, pods=3):
        """Wait until all pods run and have said that they are up, so that they heed signals; return their names."""
        wait_for(lambda: [pod.status.phase for pod in self.pods()] == ["Running"] * pods)
        names = [pod.metadata.name for pod in self.pods()]
        for name in names:
            wait_for(lambda name=name: "up\n" in self.log(name))
        return names

    def watch(self):
        """Watch pods from what they are now."""
        version = self.core.list_namespaced_pod(self.namespace).metadata.resource_version
        more = {"resource_version": version, "timeout_seconds": 60}
        return kubernetes.watch.Watch().stream(self.core.list_namespaced_pod, self.namespace, **more)

    def tell(self, pod):
        """Let a pod go on that waits until it is told."""
        self.core.patch_namespaced_pod(pod, self.namespace, {"metadata": {"annotations": {"go": "1"}}})

    def let_the_first_end(self):
        """Tell pod 0 to go on, once all others have ended."""
        wait_for(lambda: [pod.status.phase for pod in self.pods()] == ["Running", "Succeeded", "Succeeded"])
        self.tell(self.pods()[0].metadata.name)

    def log(self, pod, **more):
        return self.core.read_namespaced_pod_log(pod, self.namespace, **more)

    def ended(self):
        """Wait for the end of the Job, and return its last condition."""
        final = ("Complete", "Failed")
        read = lambda: self.batch.read_namespaced_job(NAME, self.namespace).status.conditions or []  # noqa: E731
        wait_for(lambda: any(one.type in final for one in read()))
        return next(one for one in read() if one.type in final)

    def terminated(self):
        """Return how the containers ended, by index."""
        return {
            int(pod.metadata.labels["batch.kubernetes.io/job-completion-index"]): pod.status.container_statuses[
                0
            ].state.terminated
            for pod in self.pods()
        }


def service():
    return {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {"batch.kubernetes.io/job-name": NAME},
    }


def job(script, nodes=3, grace=5, spec=(), pod=(), container=()):
    """The Job of a run, as madctl makes it, whose pods run a script of a shell."""
    rules = [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "run", "operator": "NotIn", "values": [0]}},
    ]
    names = {"/madctl": "programs", "/madctl-key": "key", "/dev/shm": "shm", "/madctl-orders": "orders"}
    orders = {"items": [{"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}]}
    run = {
        "name": "run",
        "image": "team/model:1",
        "command": ["sh", "-c", script],
        "env": [{"name": "MADCTL_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "volumeMounts": [{"name": name, "mountPath": path} for path, name in names.items()],
        **dict(container),
    }
    template = {
        "restartPolicy": "Never",
        "subdomain": NAME,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": grace,
        "containers": [run],
        "volumes": [
            {"name": "programs", "configMap": {"name": NAME}},
            {"name": "key", "secret": {"secretName": NAME, "defaultMode": 0o400}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
            {"name": "orders", "downwardAPI": orders},
        ],
        **dict(pod),
    }
    wanted = {
        "completionMode": "Indexed",
        "completions": nodes,
        "parallelism": nodes,
        "backoffLimit": 0,
        "podFailurePolicy": {"rules": rules},
        "template": {"metadata": {"labels": {"madctl.dev/run": "r"}}, "spec": template},
        **dict(spec),
    }
    meta = {"name": NAME, "labels": {"madctl.dev/run": "r"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": wanted}


@pytest.fixture
def client(whole):
    """A client of a cluster that is empty and whole again after each test."""
    yield Client(whole)
    whole.renew_token()
    whole.allow_again()
    whole.slow_api(0)
    whole.slow_names(0)
    whole.slow_annotations(0)
    whole.suspend_new_jobs(False)
    whole.unschedulable(None)
    whole.image_problem(None)
    for plural in ("jobs", "pods"):
        whole.limit(plural, None)
    for plural in ("jobs", "services", "configmaps", "secrets", "pods"):
        for value in whole.store.list(plural, whole.namespace):
            whole.store.edit(plural, value, lambda one: one["metadata"].pop("finalizers", None) and None)
            whole.store.delete(plural, whole.namespace, value["metadata"]["name"])
    wait_for(lambda: not whole.store.list("pods") and not whole.kubelets.workers)


@pytest.fixture
def cluster(client):
    return client.cluster


# -- pods as processes on hosts ---------------------------------------------------------------------


def test_pods_run_their_command_as_pid_1_with_the_environment_of_their_manifest(client):
    client.create(
        "read stat < /proc/self/stat; echo ${stat%% *} $(hostname) $(pwd); env | sort",
        container={"workingDir": "/work"},
    )

    assert client.ended().reason == "CompletionsReached"
    pods = client.pods()
    assert [pod.metadata.name.rpartition("-")[0] for pod in pods] == [f"{NAME}-{index}" for index in range(3)]
    assert {pod.spec.node_name for pod in pods} == {"node1", "node2", "node3"}
    said = client.log(pods[1].metadata.name).splitlines()
    assert said[0] == f"1 {NAME}-1 /work"
    names = {line.partition("=")[0] for line in said[1:]}
    assert names == {"HOME", "HOSTNAME", "JOB_COMPLETION_INDEX", "MADCTL_NODE", "PATH", "PWD"}
    assert {"JOB_COMPLETION_INDEX=1", f"MADCTL_NODE={pods[1].spec.node_name}"} <= set(said)


def test_volumes_are_files_with_their_modes_and_memory_with_its_size(client):
    script = """
    stat -Lc '%a %s %n' /madctl-key/key /madctl/programs.zip /madctl/run.py; cat /madctl-orders/annotations; echo
    df -k --output=size /dev/shm | tail -1; touch /madctl/x 2>/dev/null || echo read-only; readlink /madctl/..data | cut -c1-2
    """
    items = [{"key": "programs.zip", "path": "programs.zip"}, {"key": "pod.json", "path": "run.py", "mode": 0o555}]
    volumes = job("")["spec"]["template"]["spec"]["volumes"]
    client.create(
        script, pod={"volumes": [{"name": "programs", "configMap": {"name": NAME, "items": items}}, *volumes[1:]]}
    )
    client.ended()

    key, programs, run, *annotations, size, mount, link = client.log(client.pods()[0].metadata.name).splitlines()
    assert (key, programs, run) == ("400 32 /madctl-key/key", "644 256 /madctl/programs.zip", "555 2 /madctl/run.py")
    assert annotations[0] == 'batch.kubernetes.io/job-completion-index="0"'
    assert (size.strip(), mount, link) == ("8192", "read-only", "..")


def test_nothing_of_a_pod_is_made_on_this_machine(client):
    client.create("mkdir -p /opt/made-in-a-pod; mount | grep -c ' on /madctl '; echo $$ > /tmp/made-in-a-pod")
    client.ended()

    assert client.log(client.pods()[0].metadata.name) == "1\n"
    assert [
        path for path in ("/madctl", "/madctl-key", "/opt/made-in-a-pod", "/tmp/made-in-a-pod") if os.path.exists(path)
    ] == []
    assert "/cluster-" not in Path("/proc/self/mountinfo").read_text()


def test_the_image_s_python_is_on_the_path(client, cluster):
    client.create("exec python3 -c 'import sys, encodings; print(sys.prefix)'", nodes=1)
    client.ended()

    assert client.log(client.pods()[0].metadata.name).strip() == os.path.dirname(stand_in.IMAGE_PATH.split(":")[0])


def test_pod_0_is_reached_by_its_name_from_another_pod(client):
    listen = "import socket; s = socket.create_server(('', 29400)); c, _ = s.accept(); c.sendall(b'hello from 0\\n')"
    dial = f"""
import socket, time
while True:
    try:
        print(socket.create_connection(('{NAME}-0.{NAME}', 29400)).makefile().readline().strip(), flush=True)
        break
    except OSError:
        time.sleep(0.05)
"""
    script = f'case $JOB_COMPLETION_INDEX in 0) exec python3 -c "{listen}";; 2) exec python3 -c "{dial}";; esac'
    client.create(script)

    assert client.ended().type == "Complete"
    assert client.log(client.pods()[2].metadata.name) == "hello from 0\n"


def test_a_volume_claim_is_one_directory_for_all_pods(client):
    script = "echo $JOB_COMPLETION_INDEX > /data/$JOB_COMPLETION_INDEX; while [ $(ls /data | wc -l) -lt 3 ]; do sleep 0.05; done"
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "team"}}
    spec = job(script)["spec"]["template"]["spec"]
    mounts = [*spec["containers"][0]["volumeMounts"], {"name": "data", "mountPath": "/data"}]
    client.create(script, pod={"volumes": [*spec["volumes"], volume]}, container={"volumeMounts": mounts})

    assert client.ended().type == "Complete"


def test_a_pod_runs_as_the_user_of_its_security_context(client):
    context = {"runAsUser": 1234, "runAsGroup": 5678, "fsGroup": 4321}
    script = "id -u; id -g; id -G; cat /madctl-key/key; echo; touch /dev/shm/x && echo written"
    client.create(script, nodes=1, pod={"securityContext": context})
    client.ended()

    user, group, groups, key, memory = client.log(client.pods()[0].metadata.name).splitlines()
    assert (user, group, groups, key, memory) == ("1234", "5678", "5678 4321", "k" * 32, "written")


# -- how they end -----------------------------------------------------------------------------------


def test_a_pod_that_fails_fails_the_job_and_the_others_are_deleted(client):
    script = f"if [ $JOB_COMPLETION_INDEX = 1 ]; then echo up; {UNTIL_TOLD}; exit 6; fi; {WAIT}"
    client.create(script)
    names = client.running()
    watched = client.watch()
    client.tell(names[1])
    end = client.ended()

    assert (end.type, end.reason) == ("Failed", "PodFailurePolicy")
    assert (
        end.message
        == f"Container run for pod train/{names[1]} failed with exit code 6 matching FailJob rule at index 1"
    )
    # The Job has failed a moment before the last finalizer is taken away.
    wait_for(lambda: [pod.metadata.name for pod in client.pods()] == [names[1]])
    gone = set()
    for event in watched:
        gone |= {event["object"].metadata.name} if event["type"] == "DELETED" else set()
        if gone == {names[0], names[2]}:
            break
    with pytest.raises(ApiException) as refusal:
        client.log(names[0])
    assert refusal.value.status == 404


def test_pods_that_end_in_order_keep_their_logs_and_pod_0_s_code_is_the_job_s(client):
    client.create(last('printf \'{"code": "RANK_FAILED"}\' > /dev/termination-log; exit 6', "echo other"))
    client.let_the_first_end()
    end = client.ended()

    assert (
        end.message.endswith("-0-" + end.message.split("-0-")[1])
        and "exit code 6 matching FailJob rule at index 1" in end.message
    )
    ends = client.terminated()
    assert {index: one.exit_code for index, one in ends.items()} == {0: 6, 1: 0, 2: 0}
    assert (ends[0].reason, ends[1].reason) == ("Error", "Completed")
    assert json.loads(ends[0].message) == {"code": "RANK_FAILED"}
    assert client.log(client.pods()[2].metadata.name) == "other\n"


def test_a_termination_message_is_cut_at_4096_bytes(client):
    client.create("head -c 5000 /dev/zero | tr '\\0' x > /dev/termination-log", nodes=1)
    client.ended()

    assert client.terminated()[0].message == "x" * 4096


def test_deletion_gives_pid_1_its_grace_and_then_kills_it(client):
    client.create(f"if [ $JOB_COMPLETION_INDEX = 0 ]; then trap 'echo deaf' TERM; {LOOP}; fi; {WAIT}")
    names = client.running()
    streams = {name: client.log(name, follow=True, _preload_content=False) for name in names}
    client.batch.delete_namespaced_job(NAME, client.namespace, propagation_policy="Foreground")

    said = {name: stream.read().decode() for name, stream in streams.items()}
    assert [text.split() for _, text in sorted(said.items())] == [["up", "deaf"], ["up", "term"], ["up", "term"]]
    wait_for(lambda: client.pods() == [])
    wait_for(lambda: client.batch.list_namespaced_job(client.namespace).items == [])


def test_a_pod_is_deleted_at_once_without_grace(client):
    client.create(f"trap '' TERM; {LOOP}", nodes=1, grace=600)
    [name] = client.running(1)
    deleted = client.core.delete_namespaced_pod(name, client.namespace, grace_period_seconds=0)

    assert (deleted.metadata.name, deleted.metadata.deletion_grace_period_seconds) == (name, 0)
    wait_for(lambda: client.pods() == [])
    assert client.core.delete_namespaced_service(NAME, client.namespace).metadata.name == NAME


def test_a_command_that_is_not_there_is_an_error_of_the_start(client):
    client.create("", nodes=1, container={"command": ["no-such-program"]})
    client.ended()

    end = client.terminated()[0]
    assert (end.exit_code, end.reason) == (128, "StartError")
    assert "no-such-program" in end.message


def test_an_order_in_an_annotation_reaches_the_file_of_a_running_pod(client, cluster):
    client.create(
        "until grep -q 'order=\"stop\"' /madctl-orders/annotations; do sleep 0.05; done; echo ordered", nodes=1
    )
    wait_for(lambda: [pod.status.phase for pod in client.pods()] == ["Running"])
    name = client.pods()[0].metadata.name
    client.core.patch_namespaced_pod(
        name, client.namespace, {"metadata": {"annotations": {"madctl.dev/order": "stop"}}}
    )

    assert client.ended().type == "Complete"
    assert client.log(name) == "ordered\n"


def test_annotations_and_names_may_take_their_time(client, cluster):
    cluster.slow_names(3600)
    cluster.slow_annotations(3600)
    client.create(f"until getent hosts {NAME}-0.{NAME} >/dev/null; do echo late; sleep 0.05; done; {WAIT}", nodes=1)
    wait_for(lambda: [pod.status.phase for pod in client.pods()] == ["Running"])
    pod = client.pods()[0]
    wait_for(lambda: client.log(pod.metadata.name).startswith("late\n"))
    file = cluster.worker(pod.metadata.name).directory / "volumes" / "orders" / "annotations"
    client.core.patch_namespaced_pod(pod.metadata.name, client.namespace, {"metadata": {"annotations": {"a": "b"}}})

    assert 'a="b"' not in file.read_text()
    assert "up" not in client.log(pod.metadata.name)
    cluster.slow_names(0)
    cluster.slow_annotations(0)
    wait_for(lambda: 'a="b"' in file.read_text())
    wait_for(lambda: "late\nup\n" in client.log(pod.metadata.name))


def test_a_job_has_its_deadline(client):
    client.create(WAIT, spec={"activeDeadlineSeconds": 1})
    end = client.ended()

    assert (end.reason, end.message) == ("DeadlineExceeded", "Job was active longer than specified deadline")


def test_a_pod_waits_for_what_its_volumes_name(client):
    client.batch.create_namespaced_job(client.namespace, job("cat /madctl/pod.json", nodes=1))
    wait_for(
        lambda: any("FailedMount" in str(event) for event in client.core.list_namespaced_event(client.namespace).items)
    )
    # The event comes before the status.
    wait_for(lambda: client.pods()[0].status.container_statuses)
    pod = client.pods()[0]
    assert pod.status.container_statuses[0].state.waiting.reason == "ContainerCreating"
    with pytest.raises(ApiException) as refusal:
        client.log(pod.metadata.name)
    assert (refusal.value.status, "is waiting to start: ContainerCreating" in refusal.value.body) == (400, True)
    meta = {"name": NAME}
    client.core.create_namespaced_secret(client.namespace, {"metadata": meta, "data": {}})
    client.core.create_namespaced_config_map(client.namespace, {"metadata": meta, "data": {"pod.json": "late"}})

    assert client.ended().type == "Complete"
    assert client.log(pod.metadata.name) == "late\n"


# -- logs ---------------------------------------------------------------------------------------------


def test_a_log_is_followed_to_its_end_with_times(client):
    client.create(f"seq 3; {UNTIL_TOLD}; printf rest", nodes=1)
    wait_for(lambda: [pod.status.phase for pod in client.pods()] == ["Running"])
    name = client.pods()[0].metadata.name
    pieces = client.log(name, follow=True, timestamps=True, _preload_content=False).stream(decode_content=True)
    begun = next(pieces)
    client.tell(name)
    lines = (begun + b"".join(pieces)).decode().splitlines()

    assert [line.split()[1] for line in lines] == ["1", "2", "3", "rest"]
    stamps = [line.split()[0] for line in lines]
    assert stamps == sorted(stamps) and all("." in stamp and stamp.endswith("Z") for stamp in stamps)
    assert client.log(name, tail_lines=1) == "rest\n"
    assert client.log(name, limit_bytes=3) == "1\n2"


def test_a_rotation_ends_streams_and_forgets_old_lines(client, cluster):
    client.create(WAIT.replace("echo up", "seq 5"), nodes=1)
    wait_for(lambda: [pod.status.phase for pod in client.pods()] == ["Running"])
    name = client.pods()[0].metadata.name
    wait_for(lambda: client.log(name).endswith("5\n"))
    stream = client.log(name, follow=True, _preload_content=False)
    assert next(stream.stream(decode_content=True)).startswith(b"1\n")
    cluster.rotate_logs(keep=2)

    assert stream.read() is not None
    assert client.log(name) == "4\n5\n"
    assert client.pods()[0].status.phase == "Running"


# -- what else goes wrong -------------------------------------------------------------------------------


def test_an_expired_token_is_401_and_a_right_that_is_missing_403(client, cluster):
    cluster.forbid("create", "jobs")
    with pytest.raises(ApiException) as refusal:
        client.create("true")
    assert refusal.value.status == 403
    assert json.loads(refusal.value.body)["message"] == (
        'jobs.batch is forbidden: User "system:serviceaccount:train:alice" cannot create resource "jobs" '
        'in API group "batch" in the namespace "train"'
    )
    cluster.expire_token()
    with pytest.raises(ApiException) as refusal:
        client.pods()
    assert (refusal.value.status, json.loads(refusal.value.body)["reason"]) == (401, "Unauthorized")


def test_a_role_is_all_that_a_user_may(lab):
    role = {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    with stand_in.running(lab, role=role) as cluster:
        client = Client(cluster)
        assert client.pods() == []
        for refused in (client.batch.list_namespaced_job, client.core.list_namespaced_secret):
            with pytest.raises(ApiException, match="403"):
                refused(client.namespace)


def test_quotas_refuse_jobs_at_once_and_pods_in_an_event(client, cluster):
    cluster.limit("jobs", 0)
    with pytest.raises(ApiException) as refusal:
        client.batch.create_namespaced_job(client.namespace, job("true"))
    assert (
        refusal.value.status,
        "exceeded quota: team, requested: count/jobs.batch=1, used" in refusal.value.body,
    ) == (403, True)
    cluster.limit("jobs", None)
    cluster.limit("pods", 1)
    client.create(WAIT)
    events = lambda: client.core.list_namespaced_event(client.namespace).items  # noqa: E731
    wait_for(
        lambda: any(
            event.reason == "FailedCreate" and "exceeded quota: team, requested: pods=1" in event.message
            for event in events()
        )
    )
    assert len(client.pods()) == 1
    cluster.limit("pods", None)
    client.running()


def test_pods_wait_with_the_sentence_of_the_scheduler(client, cluster):
    sentence = "0/3 nodes are available: 3 Insufficient amd.com/gpu."
    cluster.unschedulable(sentence)
    client.create("true")
    wait_for(lambda: [(pod.status.conditions or [None])[0] is not None for pod in client.pods()] == [True] * 3)
    found = client.pods()[0].status.conditions[0]
    assert (found.type, found.status, found.reason, found.message) == (
        "PodScheduled",
        "False",
        "Unschedulable",
        sentence,
    )
    cluster.unschedulable(None)
    assert client.ended().type == "Complete"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_pods_wait_for_an_image_with_the_reason(client, cluster, reason):
    cluster.image_problem(reason)
    client.create("true", nodes=1)
    wait_for(lambda: any(pod.status.container_statuses for pod in client.pods()))
    waiting = client.pods()[0].status.container_statuses[0].state.waiting
    assert (waiting.reason, "registry.example/team/model:1" in waiting.message) == (reason, True)
    cluster.image_problem(None)
    assert client.ended().type == "Complete"


def test_a_job_is_suspended_as_kueue_does_and_its_pods_are_deleted(client, cluster):
    cluster.suspend_new_jobs()
    assert client.create(WAIT).spec.suspend is True
    wait_for(lambda: client.batch.read_namespaced_job(NAME, client.namespace).status.conditions)
    assert client.pods() == []
    cluster.suspend(NAME, False)
    client.running()
    cluster.suspend(NAME)
    wait_for(lambda: client.pods() == [])
    read = lambda: client.batch.read_namespaced_job(NAME, client.namespace).status  # noqa: E731
    wait_for(lambda: [(one.type, one.status) for one in read().conditions] == [("Suspended", "True")])
    assert not read().failed
    cluster.suspend(NAME, False)
    client.running()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("preempt", "PreemptionByScheduler"),
        ("evict", "EvictionByEvictionAPI"),
        ("kubelet_evicts", "TerminationByKubelet"),
    ],
)
def test_a_disruption_fails_the_job_by_its_condition(client, cluster, fault, reason):
    client.create(FAIL)
    names = client.running()
    seen = {}
    events = client.watch()
    getattr(cluster, fault)(names[1])
    end = client.ended()

    assert (end.reason, end.message) == (
        "PodFailurePolicy",
        f"Pod train/{names[1]} has condition DisruptionTarget matching FailJob rule at index 0",
    )
    for event in events:
        conditions = event["object"].status.conditions or []
        seen |= {one.type: one.reason for one in conditions if event["object"].metadata.name == names[1]}
        if "DisruptionTarget" in seen:
            break
    assert seen["DisruptionTarget"] == reason


def test_a_pod_that_is_preempted_and_ends_0_has_succeeded(client, cluster):
    client.create(WAIT)
    names = client.running()
    for name in names:
        cluster.preempt(name)

    assert (client.ended().type, client.ended().reason) == ("Complete", "CompletionsReached")


def test_pid_1_that_runs_out_of_memory_is_killed(client, cluster):
    client.create(WAIT, nodes=1)
    wait_for(lambda: [pod.status.phase for pod in client.pods()] == ["Running"])
    cluster.out_of_memory(client.pods()[0].metadata.name)
    client.ended()

    assert (client.terminated()[0].reason, client.terminated()[0].exit_code) == ("OOMKilled", 137)


def test_a_node_that_is_lost_keeps_its_pod_which_is_not_ready(client, cluster):
    client.create(FAIL)
    names = client.running()
    host = client.pods()[1].spec.node_name
    cluster.node_not_ready(host)
    pod = client.core.read_namespaced_pod(names[1], client.namespace)
    assert (pod.status.phase, {one.type: one.status for one in pod.status.conditions}["Ready"]) == ("Running", "False")
    with pytest.raises(ApiException, match="no route to host"):
        client.log(names[1])
    cluster.node_evicts(host)
    client.core.patch_namespaced_pod(names[0], client.namespace, {"metadata": {"labels": {"a": "b"}}})
    pod = client.core.read_namespaced_pod(names[1], client.namespace)
    assert pod.metadata.deletion_timestamp and pod.status.phase == "Running"
    cluster.node_is_back(host)

    assert client.ended().reason == "PodFailurePolicy"
    wait_for(lambda: names[1] not in [pod.metadata.name for pod in client.pods()])


def test_a_pod_that_is_stuck_stays_terminating_and_so_does_its_job(client, cluster):
    client.create(WAIT)
    names = client.running()
    cluster.stick(names[2])
    client.batch.delete_namespaced_job(NAME, client.namespace, propagation_policy="Foreground")
    wait_for(lambda: [pod.metadata.name for pod in client.pods()] == [names[2]])

    assert client.batch.read_namespaced_job(NAME, client.namespace).metadata.deletion_timestamp
    cluster.stick(names[2], False)
    wait_for(lambda: client.batch.list_namespaced_job(client.namespace).items == [])


def test_others_delete_the_job(client, cluster):
    client.create(WAIT)
    client.running()
    cluster.delete_job(NAME)

    with pytest.raises(ApiException, match="404"):
        client.batch.read_namespaced_job(NAME, client.namespace)
    wait_for(lambda: client.pods() == [])


def test_the_api_server_goes_away_and_comes_back(client, cluster):
    client.create(WAIT, nodes=1)
    stream = kubernetes.watch.Watch().stream(client.core.list_namespaced_pod, client.namespace)
    next(stream)
    with cluster.api_away():
        with pytest.raises((ProtocolError, MaxRetryError)):
            list(stream)
        with pytest.raises(MaxRetryError, match="refused"):
            client.pods()
    assert len(client.pods()) == 1


def test_a_watch_ends_with_410_once_its_version_is_too_old(client, cluster):
    version = client.core.list_namespaced_pod(client.namespace).metadata.resource_version
    stream = client.core.list_namespaced_pod(
        client.namespace, watch=True, resource_version=version, _preload_content=False
    )
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(stream.read().decode().splitlines()))
    reader.start()
    cluster.expire_watches()
    reader.join(60)

    said = json.loads(lines[-1])
    assert (said["type"], said["object"]["code"], said["object"]["reason"]) == ("ERROR", 410, "Expired")
    watch = kubernetes.watch.Watch()
    with pytest.raises(ApiException, match="too old resource version"):
        next(watch.stream(client.core.list_namespaced_pod, client.namespace, resource_version=version))


def test_the_end_of_the_power_of_a_host_is_silence():
    name, before = f"test-{uuid.uuid4().hex[:8]}", Path.cwd()
    os.chdir(JOBS)
    try:
        lab = power.up(name, 2, {})
        with stand_in.running(lab) as cluster:
            client = Client(cluster)
            client.create(WAIT, nodes=2)
            wait_for(lambda: [pod.status.phase for pod in client.pods()] == ["Running"] * 2)
            lost = next(pod.metadata.name for pod in client.pods() if pod.spec.node_name == "node2")
            worker = cluster.worker(lost)
            power.power_off(lab.host("node2"))
            wait_for(lambda: worker.is_lost)
            assert [pod.status.phase for pod in client.pods()] == ["Running"] * 2
            with pytest.raises(ApiException, match="no route to host"):
                client.log(lost)
            cluster.node_not_ready("node2")
            cluster.node_evicts("node2")
            assert client.core.read_namespaced_pod(lost, client.namespace).metadata.deletion_timestamp
            cluster.node_is_gone("node2")
            assert client.ended().reason == "PodFailurePolicy"
            wait_for(lambda: lost not in [pod.metadata.name for pod in client.pods()])
    finally:
        os.chdir(before)
        power.down(name)


# -- kubectl and the dynamic client -----------------------------------------------------------------------


@pytest.fixture
def kubectl(cluster, tmp_path):
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here")

    def run(*words, text=None, code=0):
        argv = ["kubectl", "--kubeconfig", cluster.kubeconfig, "--cache-dir", str(tmp_path), *words]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    return run


def test_kubectl_shows_a_run_and_deletes_it(client, kubectl):
    client.create(f"echo $JOB_COMPLETION_INDEX; {last('exit 6', 'exit 0')}")
    client.let_the_first_end()
    client.ended()

    assert kubectl("get", "jobs", "--no-headers").split()[:3] == [NAME, "Failed", "2/3"]
    assert [line.split()[1:3] for line in kubectl("get", "pods", "--no-headers").splitlines()] == [
        ["0/1", "Error"],
        ["0/1", "Completed"],
        ["0/1", "Completed"],
    ]
    assert kubectl("logs", f"pod/{client.pods()[2].metadata.name}") == "2\n"
    described = kubectl("describe", "job", NAME)
    assert "0 Active (0 Ready) / 2 Succeeded / 1 Failed" in described and "failed with exit code 6" in described
    assert "Exit Code:    6" in kubectl("describe", "pods")
    assert kubectl("get", "job", "none", code=1) == 'Error from server (NotFound): jobs.batch "none" not found\n'
    kubectl("delete", "job", NAME, "--cascade=foreground")
    assert client.pods() == []


def test_kubectl_applies_with_the_server_s_validation(client, kubectl):
    text = yaml.safe_dump(job("true"))
    assert "created (server dry run)" in kubectl("apply", "--dry-run=server", "-f", "-", text=text)
    assert client.batch.list_namespaced_job(client.namespace).items == []
    wrong = yaml.safe_dump(job("true", spec={"nodes": 3}))
    assert 'strict decoding error: unknown field "spec.nodes"' in kubectl(
        "apply", "--dry-run=server", "-f", "-", text=wrong, code=1
    )
    many = yaml.safe_dump(job("true", nodes=10**5 + 1))
    assert "must be less than or equal to 100000" in kubectl("apply", "--dry-run=server", "-f", "-", text=many, code=1)
    kubectl("apply", "-f", "-", text=text)
    kubectl("apply", "-f", "-", text=text)
    assert client.batch.read_namespaced_job(NAME, client.namespace).metadata.generation == 1
    changed = kubectl("apply", "-f", "-", text=yaml.safe_dump(job("false")), code=1)
    assert "spec.template: Invalid value:" in changed and "field is immutable" in changed


def test_the_dynamic_client_finds_and_applies_as_ansible_s_modules_do(client, tmp_path):
    dynamic = kubernetes.dynamic.DynamicClient(client.api, cache_file=str(tmp_path / "learned.json"))
    jobs = dynamic.resources.get(api_version="batch/v1", kind="Job")
    made = jobs.create(body=job("true"), namespace=client.namespace, dry_run="All")
    assert made.metadata.name == NAME
    with pytest.raises(kubernetes.dynamic.exceptions.NotFoundError):
        jobs.get(name=NAME, namespace=client.namespace)
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    meta = {"name": "c", "namespace": client.namespace}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1"}}
    for value in ("1", "2"):
        applied = maps.server_side_apply(
            body={**body, "data": {"a": value}}, name="c", namespace=client.namespace, field_manager="m"
        )
        assert applied.data.a == value


# -- the stand-in ends with its context ---------------------------------------------------------------------


def test_nothing_is_left_of_a_cluster(lab):
    before = set(threading.enumerate())
    with stand_in.running(lab) as cluster:
        client = Client(cluster)
        client.create(f"trap '' TERM; : {MARK}; {LOOP}")
        client.running()
        directory = Path(cluster.kubeconfig).parent
        stream = client.log(client.pods()[0].metadata.name, follow=True, _preload_content=False)
    stream.close()

    assert not directory.exists()
    assert marked() == []
    wait_for(lambda: not [one for one in set(threading.enumerate()) - before if one.is_alive()])


def marked():
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if MARK.encode() in Path("/proc", entry, "cmdline").read_bytes():
                found.append(entry)
    return found
