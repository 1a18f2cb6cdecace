# SPDX-License-Identifier: Apache-2.0
"""What a run puts into a cluster, field by field; all of it is judged by three versions of Kubernetes' own schemas."""

import json

import kubernetes_validate
import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import manifests
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import TABLE
from tests.unit.kubernetes_objects import NAME, NEEDED, PARCEL, RUN, checked, decoded, job, of

LABELS = {"app.kubernetes.io/managed-by": "madctl", "madctl.dev/run": RUN}
ANYWHERE = {"name": NAME, "labels": LABELS}
EVERYTHING = {
    "timeout": 600.0,
    "k8s_namespace": "team-a",
    "k8s_image_pull_policy": "Always",
    "k8s_image_pull_secrets": ["a", "b.c"],
    "k8s_gpus_per_node": 8,
    "k8s_gpu_resource": "amd.com/gpu",
    "k8s_cpu": "96",
    "k8s_memory": "512Gi",
    "k8s_shm_size": "64Gi",
    "k8s_resources": ["rdma/hca=2", "example.com/fpga=1"],
    "k8s_node_selector": ["pool=train", "empty="],
    "k8s_tolerations": ["amd.com/gpu:NoSchedule", "team=a", "any"],
    "k8s_exclusive": True,
    "k8s_priority_class": "high",
    "k8s_scheduler_name": "other",
    "k8s_queue": "team-a",
    "k8s_service_account": "train",
    "k8s_run_as_user": 1000,
    "k8s_host_network": True,
    "k8s_volumes": ["data:/data:ro", "runs:/runs"],
    "k8s_ttl": 3600.0,
}


def test_the_secret_has_the_key_and_the_request_and_never_changes():
    secret = of()["Secret"]

    assert {name: decoded(text) for name, text in secret.pop("data").items()} == {
        "key": PARCEL.key,
        "request.json": PARCEL.request,
    }
    assert secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": ANYWHERE,
        "type": "Opaque",
        "immutable": True,
    }


def test_the_config_map_has_the_programs_and_what_a_pod_has_to_know():
    found = of(PARCEL._replace(script=("train.py", b"\xff")))["ConfigMap"]

    assert found["metadata"] == ANYWHERE
    assert found["data"]["madctl_pod.py"] == "print()\n"
    assert json.loads(found["data"]["pod.json"]) == {
        "job": NAME,
        "service": NAME,
        "nodes": 2,
        "port": manifests.port(RUN),
        "agents_seconds": 300,
    }
    assert set(found["data"]) == {"madctl_pod.py", "pod.json"}
    assert {name: decoded(text) for name, text in found["binaryData"].items()} == {
        "programs.zip": b"PK",
        "script": b"\xff",
    }


def test_the_service_gives_pods_their_names_before_they_are_ready():
    assert of()["Service"] == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": ANYWHERE,
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": NAME},
        },
    }


def test_the_job_of_a_launch_without_any_option():
    apart = {"sidecar.istio.io/inject": "false"}
    rules = [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "run", "operator": "NotIn", "values": [0]}},
    ]
    container = {
        "name": "run",
        "image": "image",
        "command": ["python3", "-I", "-S", "/madctl/madctl_pod.py"],
        "env": [{"name": "MADCTL_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "volumeMounts": [
            {"name": "programs", "mountPath": "/madctl", "readOnly": True},
            {"name": "key", "mountPath": "/madctl-key", "readOnly": True},
            {"name": "shm", "mountPath": "/dev/shm"},
            {"name": "orders", "mountPath": "/madctl-orders", "readOnly": True},
        ],
    }
    items = [{"key": name, "path": name} for name in ("madctl_pod.py", "pod.json", "programs.zip")]
    annotations = {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}
    pod = {
        "restartPolicy": "Never",
        "subdomain": NAME,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 80,
        "containers": [container],
        "volumes": [
            {"name": "programs", "configMap": {"name": NAME, "items": items}},
            {"name": "key", "secret": {"secretName": NAME, "defaultMode": 0o400}},
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
            {"name": "orders", "downwardAPI": {"items": [annotations]}},
        ],
    }

    assert of()["Job"] == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": ANYWHERE,
        "spec": {
            "completionMode": "Indexed",
            "completions": 2,
            "parallelism": 2,
            "backoffLimit": 0,
            "podFailurePolicy": {"rules": rules},
            "template": {"metadata": {"labels": {**LABELS, **apart}, "annotations": apart}, "spec": pod},
        },
    }


def test_everything_at_once_is_taken_by_every_version():
    objects = of(PARCEL._replace(script=("train.py", b"x")), **EVERYTHING)

    assert list(objects) == ["Secret", "ConfigMap", "Service", "Job"]
    assert {one["metadata"]["namespace"] for one in objects.values()} == {"team-a"}


# What says where the cluster is, or what was sent, which the caller has done by then.
ELSEWHERE = {"k8s_kubeconfig", "k8s_context", "k8s_image", "k8s_send_script"}


@pytest.mark.parametrize("name", [row.name for row in TABLE if row.scheduler == "k8s" and row.name not in ELSEWHERE])
def test_no_option_of_pods_is_forgotten(name):
    given = {**EVERYTHING, "k8s_gpus_per_node": 8, "k8s_gpu_resource": "amd.com/gpu"}
    without = {other: value for other, value in given.items() if other != name}
    if name == "k8s_gpu_resource":
        without[name] = "nvidia.com/gpu"

    assert manifests.objects({**NEEDED, **without}, PARCEL) != manifests.objects({**NEEDED, **given}, PARCEL)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"k8s_queue": "a"}, {"suspend": True}),
        ({"timeout": 600.0}, {"activeDeadlineSeconds": 600 + 300 + 60 + 45 + 60}),
        ({"timeout": 0.5, "start_timeout": 100.0, "grace": 5.0}, {"activeDeadlineSeconds": 266}),
        ({"timeout": 0}, {}),
        ({"k8s_ttl": 60.5}, {"ttlSecondsAfterFinished": 61}),
    ],
)
def test_what_ends_a_job_or_keeps_it_waiting(asked, expected):
    usual, spec = job()[0], job(**asked)[0]

    assert {name: value for name, value in spec.items() if name not in usual} == expected


def test_only_the_job_is_labelled_for_a_queue():
    objects = of(k8s_queue="team-a")
    labelled = [kind for kind, one in objects.items() if "kueue.x-k8s.io/queue-name" in one["metadata"]["labels"]]

    assert labelled == ["Job"]
    assert objects["Job"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"grace": 10.2}, {"terminationGracePeriodSeconds": 46}),
        ({"k8s_host_network": True}, {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}),
        ({"k8s_scheduler_name": "other"}, {"schedulerName": "other"}),
        ({"k8s_priority_class": "high"}, {"priorityClassName": "high"}),
        ({"k8s_service_account": "train"}, {"serviceAccountName": "train"}),
        ({"k8s_image_pull_secrets": ["a", "b"]}, {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}),
        ({"k8s_node_selector": ["a/b=c", "d="]}, {"nodeSelector": {"a/b": "c", "d": ""}}),
        (
            {"k8s_tolerations": ["a:NoExecute", "b=c", "d", "e="]},
            {
                "tolerations": [
                    {"key": "a", "operator": "Exists", "effect": "NoExecute"},
                    {"key": "b", "operator": "Equal", "value": "c"},
                    {"key": "d", "operator": "Exists"},
                    {"key": "e", "operator": "Equal", "value": ""},
                ]
            },
        ),
    ],
)
def test_what_a_pod_is_and_where_it_may_run(asked, expected):
    usual, pod = job()[1], job(**asked)[1]

    assert {name: value for name, value in pod.items() if usual.get(name) != value} == expected


def test_pods_of_exclusive_runs_share_no_node_with_any_pod_of_ours():
    (term,) = job(k8s_exclusive=True)[1]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]

    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= LABELS.items()
    assert "affinity" not in job()[1]


def test_requests_are_limits():
    gpus = {"k8s_gpus_per_node": 8, "k8s_gpu_resource": "amd.com/gpu"}
    (container,) = job(k8s_cpu="1500m", k8s_memory="2Gi", k8s_resources=["rdma/hca=1"], **gpus)[1]["containers"]
    expected = {"cpu": "1500m", "memory": "2Gi", "amd.com/gpu": "8", "rdma/hca": "1"}

    assert container["resources"] == {"requests": expected, "limits": expected}


def test_no_gpus_are_asked_for_where_only_their_name_is_known():
    assert job(k8s_gpu_resource="amd.com/gpu") == job()
    assert job(k8s_gpu_resource="amd.com/gpu", k8s_gpus_per_node=0) == job()


def test_volumes_are_mounted_as_they_are_asked_for():
    usual, pod = job()[1], job(k8s_volumes=["data:/data:ro", "runs:/runs"], k8s_shm_size="1Gi")[1]
    mounts = pod["containers"][0]["volumeMounts"]

    assert pod["volumes"][2] == {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
    assert pod["volumes"][4:] == [
        {"name": "volume-0", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
        {"name": "volume-1", "persistentVolumeClaim": {"claimName": "runs"}},
    ]
    assert mounts[:4] == usual["containers"][0]["volumeMounts"]
    assert mounts[4:] == [
        {"name": "volume-0", "mountPath": "/data", "readOnly": True},
        {"name": "volume-1", "mountPath": "/runs"},
    ]


def test_a_script_is_where_its_own_name_says():
    items = job(PARCEL._replace(script=("train.py", b"x")))[1]["volumes"][0]["configMap"]["items"]

    assert items[3:] == [{"key": "script", "path": "train.py"}]


# -- Pod Security, as its documentation defines the two levels ------------------------------------------------


def baseline(pod):
    """Whether a pod passes the level baseline."""
    (container,) = pod["containers"]
    capabilities = container.get("securityContext", {}).get("capabilities", {})
    kinds = {kind for volume in pod["volumes"] for kind in volume} - {"name"}
    is_plain = not {"hostNetwork", "hostPID", "hostIPC"} & set(pod) and "hostPath" not in kinds
    return is_plain and not capabilities.get("add") and "privileged" not in container.get("securityContext", {})


def restricted(pod):
    """Whether a pod passes the level restricted."""
    (container,) = pod["containers"]
    own, whole = container.get("securityContext", {}), pod.get("securityContext", {})
    kinds = {kind for volume in pod["volumes"] for kind in volume} - {"name"}
    return (
        baseline(pod)
        and own.get("allowPrivilegeEscalation") is False
        and own.get("capabilities") == {"drop": ["ALL"]}
        and whole.get("runAsNonRoot") is True
        and whole.get("runAsUser", 1) != 0
        and whole.get("seccompProfile") == {"type": "RuntimeDefault"}
        and kinds <= {"configMap", "secret", "emptyDir", "downwardAPI", "persistentVolumeClaim"}
    )


def test_which_level_of_pod_security_a_run_passes():
    volumes = {"k8s_volumes": ["data:/data"]}

    assert baseline(job(**volumes)[1]) and not restricted(job(**volumes)[1])
    assert restricted(job(k8s_run_as_user=1000, **volumes)[1])
    assert not baseline(job(k8s_run_as_user=1000, k8s_host_network=True)[1])


def test_an_image_that_runs_as_root_keeps_what_root_can_do():
    pod = job()[1]

    assert "securityContext" not in pod and "securityContext" not in pod["containers"][0]


def test_another_user_than_root_can_read_the_key_by_its_group():
    pod = job(k8s_run_as_user=1000)[1]

    assert pod["volumes"][1] == {"name": "key", "secret": {"secretName": NAME, "defaultMode": 0o440}}
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (1000, 1000)


# -- ports, secrets -------------------------------------------------------------------------------------------


def test_ports_of_runs_are_their_own_and_none_is_that_of_the_rendezvous():
    ports = {run_id: manifests.port(run_id) for run_id in map(str, range(300))}

    assert all(20000 <= port <= 29999 for port in ports.values())
    assert len(set(ports.values())) > 280
    assert ports == {run_id: manifests.port(run_id, "auto") for run_id in ports}
    others = {run_id: manifests.port(run_id, str(port)) for run_id, port in ports.items()}
    assert all(20000 <= other <= 29999 and other != ports[run_id] for run_id, other in others.items())


def test_the_first_of_the_ports_has_the_last_one_beside_it():
    run_id = next(one for one in map(str, range(10**6)) if manifests.port(one) == 20000)

    assert manifests.port(run_id, 20000) == 29999


def test_the_rendezvous_of_a_launch_decides():
    usual = manifests.port(RUN)
    pod = json.loads(of(master_port=str(usual))["ConfigMap"]["data"]["pod.json"])

    assert pod["port"] == manifests.port(RUN, usual) != usual


def test_what_the_secret_has_is_nowhere_else():
    parcel = PARCEL._replace(key=b"canary-of-the-key-canary-of-the-", request=b'{"canary": "of the request"}')
    objects = of(parcel, env={"TOKEN": "canary of the environment"}, work=["canary.py"], note="canary", **EVERYTHING)
    said = {
        kind: json.dumps(one) + str([decoded(text) for text in one.get("binaryData", {}).values()])
        for kind, one in objects.items()
    }
    secret = [decoded(text) for text in objects["Secret"]["data"].values()]

    assert [kind for kind, text in said.items() if "canary" in text] == []
    assert all(b"canary" in text for text in secret)


def test_the_secret_may_be_left_out_and_nothing_else_changes():
    assert manifests.objects(NEEDED, PARCEL, with_secret=False) == manifests.objects(NEEDED, PARCEL)[1:]


@pytest.mark.parametrize(
    "change",
    [{"unknown": 1}, {"completions": "2"}, {"template": {"spec": {"containers": [{"image": "a"}]}}}],
    ids=lambda change: next(iter(change)),
)
def test_the_judges_of_these_tests_refuse_what_a_cluster_would(change):
    one = of()["Job"]

    with pytest.raises((kubernetes_validate.ValidationError, AssertionError)):
        checked([{**one, "spec": {**one["spec"], **change}}])
