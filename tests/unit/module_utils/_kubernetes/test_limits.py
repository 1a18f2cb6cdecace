# SPDX-License-Identifier: Apache-2.0
"""What is refused before a cluster is asked, with the exact words, and what just passes."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import limits, manifests
from ansible_collections.madctl.multinode.plugins.module_utils._request import validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME
from tests.unit.kubernetes_objects import NEEDED, PARCEL, of

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
SUBDOMAIN = LABEL.replace("label", "subdomain").replace("characters or '-'", "characters, '-' or '.'")
WORD = "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
VALUE, NAME_PART = f"a valid label must be an empty string or {WORD}", f"name part must {WORD}"
QUANTITY = (
    "quantities are numbers, perhaps with an exponent, or with n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi or Ei"
)
POSITIVE = "must be greater than zero, and less than 2**63"
TOLERATION = "must be KEY[=VALUE][:EFFECT], with an effect of NoSchedule, PreferNoSchedule, NoExecute"
PATH = "must be mounted on an absolute path without '.', '..' or empty parts"
PLACE = "must not be mounted on / or in /proc, /sys, /dev, /madctl, /madctl-key, /madctl-orders, /madctl-code, /dev/shm"
FULLY = "must be fully qualified, with the domain of the plugin that offers it"
NO_MORE = "must be no more than {} characters".format

BAD = {
    "k8s_namespace": [("Big", LABEL), ("a.b", LABEL), ("-a", LABEL), ("a-", LABEL), ("a_b", LABEL), ("é", LABEL)]
    + [("a" * 64, NO_MORE(63))],
    "k8s_image": [("a b", "must not contain blanks"), ("a\u00a0b", "must not contain blanks")]
    + [("a" * 513, "must be no more than 512 visible characters")],
    "k8s_image_pull_secrets": [(["ok", "Not"], SUBDOMAIN), (["a..b"], SUBDOMAIN), (["a" * 254], NO_MORE(253))],
    "k8s_gpu_resource": [
        *(("gpu", FULLY), ("kubernetes.io/gpu", "is a name of Kubernetes' own")),
        *(("requests.a/b", "is a name of Kubernetes' own"), ("a/b/c", f"prefix part {SUBDOMAIN}")),
        *(("A/gpu", f"prefix part {SUBDOMAIN}"), ("a/", NAME_PART), ("a/gpu-", NAME_PART)),
        ("a/" + "b" * 64, "name part must be no more than 63 characters"),
    ],
    "k8s_cpu": [
        ("x", QUANTITY),
        ("1 ", QUANTITY),
        ("-1", QUANTITY),
        ("1KB", QUANTITY),
        ("1ki", QUANTITY),
        ("٣", QUANTITY),
    ]
    + [("1e999", QUANTITY), ("0", POSITIVE), ("0m", POSITIVE), ("9223372036854775808", POSITIVE)]
    + [
        ("0.0005", "must not be finer than 1m, a thousandth of a CPU"),
        ("1u", "must not be finer than 1m, a thousandth of a CPU"),
    ],
    "k8s_memory": [
        ("64GB", QUANTITY),
        ("8Ei", POSITIVE),
        ("64", "is only 64 bytes"),
        ("1000k", "is only 1000000 bytes"),
    ]
    + [("512m", "must be a whole number of bytes, and m means a thousandth")],
    "k8s_shm_size": [("big", QUANTITY), ("1Ki", "is only 1024 bytes")],
    "k8s_resources": [
        *((["rdma/hca"], "must be NAME=NUMBER"), (["=1"], "must be NAME=NUMBER"), (["hca=1"], FULLY)),
        *((["a/b=0"], "must be an integer greater than zero"), (["a/b=0.5"], "must be an integer greater than zero")),
        *((["a/b=500m"], "must be an integer greater than zero"), (["a/b=²"], "must be an integer greater than zero")),
    ],
    "k8s_node_selector": [(["a"], "must be KEY=VALUE"), (["=a"], "must be KEY=VALUE"), (["a=b c"], VALUE)]
    + [
        (["a=b=c"], VALUE),
        (["a b=c"], NAME_PART),
        (["A/b=c"], f"prefix part {SUBDOMAIN}"),
        (["a=" + "b" * 64], NO_MORE(63)),
    ],
    "k8s_tolerations": [
        ([":NoSchedule"], TOLERATION),
        (["a:Never"], TOLERATION),
        (["a:"], TOLERATION),
        (["a=b:c:NoExecute"], TOLERATION),
    ]
    + [(["-a"], NAME_PART), (["a=/"], VALUE)],
    "k8s_priority_class": [("High", SUBDOMAIN)],
    "k8s_scheduler_name": [("a_b", SUBDOMAIN)],
    "k8s_queue": [("A", SUBDOMAIN), ("a" * 64, NO_MORE(63))],
    "k8s_service_account": [("a/b", SUBDOMAIN)],
    "k8s_volumes": [
        (["/data:/data"], "directories of nodes are not mounted, only persistent volume claims"),
        *((["data"], "must be CLAIM:PATH or CLAIM:PATH:ro"), ([":/data"], "must be CLAIM:PATH or CLAIM:PATH:ro")),
        *(
            (["data:/a:rw"], "must be CLAIM:PATH or CLAIM:PATH:ro"),
            (["data:/a:"], "must be CLAIM:PATH or CLAIM:PATH:ro"),
        ),
        *(
            (["data:a"], PATH),
            (["data:/a/../b"], PATH),
            (["data:/a/"], PATH),
            (["data:/a//b"], PATH),
            (["data://a"], PATH),
        ),
        *((["data:/"], PLACE), (["data:/madctl"], PLACE), (["data:/madctl-key/a"], PLACE), (["data:/dev/shm"], PLACE)),
        *((["data:/proc/a"], PLACE), (["data:/sys"], PLACE), (["data:/dev/a"], PLACE), (["Data:/a"], SUBDOMAIN)),
    ],
}
CASES = [(name, given, reason) for name, cases in BAD.items() for given, reason in cases]
GOOD = {
    "k8s_namespace": ["a", "1", "a-1", "a" * 63],
    "k8s_image": ["a", "r.example.org:5000/a/b:1.2", "a@sha256:" + "0" * 64, "a" * 512],
    "k8s_image_pull_secrets": [["a", "b.c-d", "a" * 253]],
    "k8s_cpu": ["1", "1m", "0.5", ".5", "5.", "1500m", "1e3", "1E3", "2k", "9223372036854775807"],
    "k8s_memory": ["1048576", "64Gi", "1.5Gi", "7Ei", "128M", "1e9", "2000000000000m"],
    "k8s_shm_size": ["1Mi", "64Gi"],
    "k8s_gpu_resource": ["amd.com/gpu", "nvidia.com/mig-1g.5gb", "a/B_c.d"],
    "k8s_resources": [["rdma/hca=1", "a/b=999999999"]],
    "k8s_node_selector": [["a=b", "topology.kubernetes.io/zone=x", "A.b_c=", "c=" + "b" * 63]],
    "k8s_tolerations": [["a", "a=b", "a=", "a:NoSchedule", "x.y/z=1.2_3:PreferNoSchedule", "a=b:NoExecute"]],
    "k8s_queue": ["a" * 63, "a.b"],
    "k8s_volumes": [["a:/data:ro", "b.c:/madctl-data", "b.c:/devices", "d:/etc/x"]],
}


def messages(**asked):
    found = limits.problems({**NEEDED, **asked}, validation.as_option)
    assert {problem["code"] for problem in found} <= {"USAGE"}
    return [problem["message"] for problem in found]


@pytest.mark.parametrize(
    ("name", "given", "reason"), CASES, ids=[f"{name} {str(given)[:20]}" for name, given, _ in CASES]
)
def test_what_a_cluster_would_refuse_is_refused_with_its_reason(name, given, reason):
    row, shown = BY_NAME[name], given[-1] if isinstance(given, list) else given

    assert messages(**{name: given}) == [f"{row.option} {shown!r}: {reason}"]
    (of_playbook,) = limits.problems({**NEEDED, name: given})
    assert of_playbook["message"] == f"{row.variable} {shown!r}: {reason}"
    assert of_playbook["remedy"].startswith("write it as in ")


def test_every_rule_has_a_bad_example_and_its_own_good_one():
    assert {rule.name for rule in limits._RULES} == set(BAD)
    assert [rule.name for rule in limits._RULES if rule.reason(rule.example)] == []


@pytest.mark.parametrize(("name", "given"), [(name, given) for name, cases in GOOD.items() for given in cases])
def test_what_just_passes_is_taken_by_a_cluster_as_well(name, given):
    gpus = {"k8s_gpus_per_node": 1} if name == "k8s_gpu_resource" else {}

    assert messages(**{name: given}, **gpus) == []
    assert of(**{name: given}, **gpus)


@pytest.mark.parametrize(
    ("asked", "message", "remedy"),
    [
        ({"nnodes": None}, "the number of nodes is missing", "set --nnodes"),
        ({"nnodes": 0}, "the number of nodes is missing", "set --nnodes"),
        ({"k8s_image": None}, "the container image is missing", "set --image"),
        (
            {"k8s_gpus_per_node": 8},
            "--gpus-per-node needs the name by which the cluster offers its GPUs",
            "set --gpu-resource to amd.com/gpu or nvidia.com/gpu",
        ),
        (
            {"tags": ["dummy"]},
            "--tags: madengine starts containers with docker, which pods do not have",
            "run the script of the model in the image of the model",
        ),
        (
            {"k8s_resources": ["a/b=1", "a/b=2"]},
            "--resource: a/b is given twice",
            "leave one of them out",
        ),
        (
            {"k8s_gpus_per_node": 1, "k8s_gpu_resource": "a/b", "k8s_resources": ["a/b=2"]},
            "--resource: a/b is given twice",
            "leave one of them out",
        ),
        ({"k8s_node_selector": ["a=b", "a=c"]}, "--node-selector: a is given twice", "leave one of them out"),
        ({"k8s_volumes": ["a:/x", "b:/x:ro"]}, "--volume: /x is given twice", "leave one of them out"),
        (
            {"k8s_shm_size": "1025Mi", "k8s_memory": "1Gi"},
            "--shm-size 1025Mi exceeds --memory 1Gi, of which it is a part",
            "ask for more memory",
        ),
        (
            {"run_root": "/runs", "k8s_volumes": ["a:/run", "b:/runs:ro"]},
            "--run-root /runs is not in a volume that pods may write to",
            "mount one there with --volume, or leave it out",
        ),
        (
            {"run_root": "/runs/../x", "k8s_volumes": ["a:/runs"]},
            "--run-root /runs/../x is not in a volume that pods may write to",
            "mount one there with --volume, or leave it out",
        ),
        (
            {"k8s_ttl": 59.5},
            "--ttl 59.5: the end of the run may be gone before it is read",
            "give it at least 60 seconds",
        ),
        (
            {"run_id": "a" * 55, "nnodes": 11},
            f"madctl_run_id {'a' * 55!r}: will not able to create pod with invalid DNS label: {NO_MORE(63)}",
            "leave it out",
        ),
        (
            {"run_id": "a.b"},
            f"madctl_run_id 'a.b': will not able to create pod with invalid DNS label: {LABEL}",
            "leave it out",
        ),
    ],
)
def test_what_no_pod_can_have(asked, message, remedy):
    (found,) = limits.problems({**NEEDED, **asked}, validation.as_option)

    assert (found["code"], found["message"], found["remedy"]) == ("USAGE", message, remedy)


@pytest.mark.parametrize(
    "asked",
    [
        {"k8s_gpu_resource": "a/b", "k8s_resources": ["a/b=2"]},
        {"k8s_shm_size": "1Gi", "k8s_memory": "1024Mi"},
        {"run_root": "/runs/", "k8s_volumes": ["a:/runs"]},
        {"run_root": "/runs/mine", "k8s_volumes": ["b:/x", "a:/runs"]},
        {"k8s_ttl": 60.0},
        {"run_id": "a" * 54, "nnodes": 10},
        {"run_id": "a" * 53, "nnodes": 11},
    ],
)
def test_what_a_pod_can_just_have(asked):
    assert messages(**asked) == []


def test_all_that_is_wrong_by_itself_is_told_at_once():
    assert len(messages(k8s_namespace="A", k8s_cpu="x", k8s_volumes=["a", "b"], nnodes=0)) == 5


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_an_object_of_a_mebibyte_is_the_largest(kind):
    empty = PARCEL._replace(key=b"", request=b"", pod_program="", programs=b"")
    pod = len(manifests.objects(NEEDED, empty)[1]["data"]["pod.json"])
    field, more = ("request", 0) if kind == "Secret" else ("programs", pod)
    just, beyond = (empty._replace(**{field: bytes((1 << 20) - more + plus)}) for plus in (0, 1))

    assert limits.sizes(manifests.objects(NEEDED, just)) == []
    (found,) = limits.sizes(manifests.objects(NEEDED, beyond), validation.as_option)
    assert found["message"] == f"the {kind} of the run has 1048577 bytes, and a cluster takes no more than 1048576"
    assert ("--env" if kind == "Secret" else "--send-script") in found["remedy"]


def test_a_text_counts_by_its_bytes_and_a_script_counts_too():
    large = PARCEL._replace(pod_program="é" * (400 << 10), script=("a.py", bytes(256 << 10)))

    assert [found["code"] for found in limits.sizes(manifests.objects(NEEDED, large))] == ["USAGE"]


@pytest.mark.parametrize("name", ["", "..a.py", "madctl_pod.py", "pod.json", "programs.zip", "a\n.py", "\udcff.py"])
def test_a_script_may_not_have_every_name(name):
    assert limits.script(name, b"") == ("cannot have that name in /madctl", "rename it")


def test_a_script_may_not_be_long():
    assert limits.script("a b.py", bytes(256 << 10)) == (None, "")
    assert limits.script("a.py", bytes((256 << 10) + 1)) == (
        "has more than 262144 bytes",
        "put it in the image, or on a volume",
    )
