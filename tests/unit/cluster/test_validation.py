# SPDX-License-Identifier: Apache-2.0
"""What the stand-in for an API server refuses, with the sentences of Kubernetes' own validation."""

import base64
import copy

import pytest

from tests.integration.cluster import validation
from tests.integration.cluster.status import KINDS, StatusError
from tests.integration.cluster.validation import problems

# The stand-in changes seldom, and its schemas are large.
pytestmark = pytest.mark.slow
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
RULE = "spec.podFailurePolicy.rules[1].onExitCodes"
POD = "spec.template.spec"
RUN = f"{POD}.containers[0]"
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "madctl-r", "labels": {"madctl.dev/run": "r"}},
    "spec": {
        "completionMode": "Indexed",
        "completions": 3,
        "parallelism": 3,
        "backoffLimit": 0,
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget"}]},
                {"action": "FailJob", "onExitCodes": {"containerName": "run", "operator": "NotIn", "values": [0]}},
            ]
        },
        "template": {
            "metadata": {"labels": {"madctl.dev/run": "r"}, "annotations": {"sidecar.istio.io/inject": "false"}},
            "spec": {
                "restartPolicy": "Never",
                "subdomain": "madctl-r",
                "enableServiceLinks": False,
                "containers": [
                    {
                        "name": "run",
                        "image": "team/model:1",
                        "command": ["python3", "-I", "-S", "/madctl/madctl_pod.py"],
                        "env": [{"name": "MADCTL_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                        "resources": {"limits": {"amd.com/gpu": "8", "memory": "64Gi", "cpu": "500m"}},
                        "volumeMounts": [
                            {"name": "programs", "mountPath": "/madctl", "readOnly": True},
                            {"name": "shm", "mountPath": "/dev/shm"},
                        ],
                    }
                ],
                "tolerations": [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "volumes": [
                    {"name": "programs", "configMap": {"name": "madctl-r", "items": [{"key": "a", "path": "a"}]}},
                    {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}},
                    {
                        "name": "orders",
                        "downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.annotations"}}]},
                    },
                ],
            },
        },
    },
}
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"pod.json": "{}"}}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "immutable": True, "data": {"key": "a2V5"}}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "madctl-r"},
    "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"a": "b"}},
}


def changed(manifest, **changes):
    """Return a manifest with some fields put in, by path; None takes one out."""
    found = copy.deepcopy(manifest)
    for path, value in changes.items():
        *way, last = [int(one) if one.isdigit() else one for one in path.split("__")]
        place = found
        for one in way:
            place = place[one]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", [JOB, CONFIG_MAP, SECRET, SERVICE], ids=lambda one: one["kind"])
def test_what_madctl_makes_is_taken_by_every_version(manifest, version):
    assert problems(manifest, version) == []


RULES = "spec__podFailurePolicy__rules"
TEMPLATE = "spec__template"
CONTAINER = f"{TEMPLATE}__spec__containers__0"
VOLUMES = f"{TEMPLATE}__spec__volumes"
REFUSED = [
    # What cannot be decoded.
    ({"spec__nodes": 3}, 'unknown field "spec.nodes"'),
    ({f"{CONTAINER}__cmd": []}, f'unknown field "{RUN}.cmd"'),
    ({f"{CONTAINER}__env__0": {"name": "A", "value": 1}}, "cannot unmarshal number into Go struct field"),
    ({"spec__completions": "3"}, "cannot unmarshal string into Go struct field Job.spec.completions of type integer"),
    ({f"{CONTAINER}__resources__limits__memory": "64 GiB"}, "quantities must match the regular expression"),
    ({f"{VOLUMES}__1__emptyDir__sizeLimit": "much"}, "quantities must match the regular expression"),
    # Names, labels, annotations.
    ({"metadata__name": "Run"}, 'metadata.name: Invalid value: "Run": a lowercase RFC 1123 subdomain must consist of'),
    ({"metadata__name": None}, "metadata.name: Required value: name or generateName is required"),
    ({"metadata__name": "a" * 62}, f"will not able to create pod with invalid DNS label: {'a' * 62}-2"),
    ({"metadata__name": "a.b"}, "will not able to create pod with invalid DNS label: a.b-2"),
    (
        {"metadata__name": "a" * 61, "spec__completions": 11, "spec__parallelism": 11},
        f"will not able to create pod with invalid DNS label: {'a' * 61}-10",
    ),
    ({"metadata__labels__a": "b" * 64}, "metadata.labels: Invalid value: "),
    ({"metadata__labels__a": "b c"}, 'metadata.labels: Invalid value: "b c": a valid label must be an empty string'),
    ({"metadata__labels": {"a/b/c": "d"}}, 'metadata.labels: Invalid value: "a/b/c": a qualified name must consist of'),
    ({"metadata__labels": {"-": "d"}}, 'metadata.labels: Invalid value: "-": name part must consist of'),
    ({f"{TEMPLATE}__metadata__labels__a": "b c"}, 'spec.template.labels: Invalid value: "b c"'),
    (
        {f"{TEMPLATE}__metadata__annotations__a": "b" * 262144},
        "spec.template.annotations: Too long: may not be more than 262144 bytes",
    ),
    # Jobs.
    (
        {"spec__completionMode": "Sometimes"},
        'spec.completionMode: Unsupported value: "Sometimes": supported values: "NonIndexed", "Indexed"',
    ),
    ({"spec__completions": None}, "spec.completions: Required value: when completion mode is Indexed"),
    ({"spec__backoffLimit": -1}, "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
    ({"spec__activeDeadlineSeconds": -1}, "spec.activeDeadlineSeconds: Invalid value: -1"),
    (
        {"spec__podReplacementPolicy": "TerminatingOrFailed"},
        'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
    ),
    (
        {f"{TEMPLATE}__spec__restartPolicy": None},
        f'{POD}.restartPolicy: Required value: valid values: "OnFailure", "Never"',
    ),
    (
        {f"{TEMPLATE}__spec__restartPolicy": "OnFailure"},
        f'{POD}.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
    ),
    ({f"{RULES}__1__action": "Fail"}, 'action: Unsupported value: "Fail": supported values: "Count", "FailIndex"'),
    ({f"{RULES}__1__action": "FailIndex"}, "requires the backoffLimitPerIndex to be set"),
    (
        {f"{RULES}__1__onExitCodes__operator": "Is"},
        f'{RULE}.operator: Unsupported value: "Is": supported values: "In", "NotIn"',
    ),
    (
        {f"{RULES}__1__onExitCodes__operator": "In"},
        f"{RULE}.values[0]: Invalid value: 0: must not be 0 for the In operator",
    ),
    ({f"{RULES}__1__onExitCodes__values": [3, 1]}, f"{RULE}.values: Invalid value: []int32{{3, 1}}: must be ordered"),
    ({f"{RULES}__1__onExitCodes__values": [1, 1]}, f"{RULE}.values[1]: Duplicate value: 1"),
    (
        {f"{RULES}__1__onExitCodes__values": []},
        f"{RULE}.values: Invalid value: []int32{{}}: at least one value is required",
    ),
    (
        {f"{RULES}__1__onExitCodes__values": list(range(256))},
        f"{RULE}.values: Too many: 256: must have at most 255 items",
    ),
    (
        {f"{RULES}__1__onExitCodes__containerName": "main"},
        f'{RULE}.containerName: Invalid value: "main": must be one of the container or initContainer names',
    ),
    ({f"{RULES}__1": {"action": "FailJob"}}, "specifying one of OnExitCodes and OnPodConditions is required"),
    (
        {f"{RULES}__1__onPodConditions": [{"type": "DisruptionTarget"}]},
        "specifying both OnExitCodes and OnPodConditions is not supported",
    ),
    ({RULES: [JOB["spec"]["podFailurePolicy"]["rules"][0]] * 21}, "rules: Too many: 21: must have at most 20 items"),
    # Pods.
    ({f"{TEMPLATE}__spec__containers": []}, f"{POD}.containers: Required value"),
    ({f"{CONTAINER}__image": None}, f"{RUN}.image: Required value"),
    ({f"{CONTAINER}__name": "Run"}, f'{RUN}.name: Invalid value: "Run": a lowercase RFC 1123 label must consist of'),
    ({f"{TEMPLATE}__spec__subdomain": "a" * 64}, f"{POD}.subdomain: Invalid value: "),
    ({f"{TEMPLATE}__spec__dnsPolicy": "Mine"}, f'{POD}.dnsPolicy: Unsupported value: "Mine"'),
    ({f"{TEMPLATE}__spec__terminationGracePeriodSeconds": -1}, "terminationGracePeriodSeconds: Invalid value: -1"),
    ({f"{TEMPLATE}__spec__nodeSelector": {"a": "b c"}}, f'{POD}.nodeSelector: Invalid value: "b c"'),
    ({f"{TEMPLATE}__spec__priorityClassName": "A"}, f'{POD}.priorityClassName: Invalid value: "A"'),
    ({f"{TEMPLATE}__spec__tolerations": [{"value": "x"}]}, "operator must be Exists when `key` is empty"),
    ({f"{TEMPLATE}__spec__tolerations__0__value": "x"}, "value must be empty when `operator` is 'Exists'"),
    ({f"{TEMPLATE}__spec__tolerations__0__effect": "No"}, 'tolerations[0].effect: Unsupported value: "No"'),
    (
        {f"{CONTAINER}__env__0__name": "1A"},
        f'{RUN}.env[0].name: Invalid value: "1A": a valid environment variable name',
    ),
    ({f"{CONTAINER}__env__0__value": "x"}, f"{RUN}.env[0].valueFrom: Invalid value: "),
    (
        {f"{CONTAINER}__env__0__valueFrom__fieldRef__fieldPath": "spec.node"},
        f"{RUN}.env[0].valueFrom.fieldRef.fieldPath: Invalid value",
    ),
    ({f"{CONTAINER}__volumeMounts__0__name": "none"}, f'{RUN}.volumeMounts[0].name: Not found: "none"'),
    (
        {f"{CONTAINER}__volumeMounts__1__mountPath": "/madctl"},
        f'{RUN}.volumeMounts[1].mountPath: Invalid value: "/madctl": must be unique',
    ),
    (
        {f"{CONTAINER}__resources__requests": {"amd.com/gpu": "4"}},
        f'{RUN}.resources.requests: Invalid value: "4": must be equal to amd.com/gpu limit of 8',
    ),
    (
        {f"{CONTAINER}__resources": {"requests": {"amd.com/gpu": 8}}},
        f"{RUN}.resources.limits: Required value: Limit must be set for non overcommitable resources",
    ),
    (
        {f"{CONTAINER}__resources__limits__amd.com/gpu": "500m"},
        'limits[amd.com/gpu]: Invalid value: "500m": must be an integer',
    ),
    (
        {f"{CONTAINER}__resources__requests": {"cpu": 1}},
        'Invalid value: "1": must be less than or equal to cpu limit of 500m',
    ),
    (
        {f"{CONTAINER}__resources__limits__gpu": 1},
        'Invalid value: "gpu": must be a standard resource type or fully qualified',
    ),
    ({f"{VOLUMES}__1__name": "programs"}, f'{POD}.volumes[1].name: Duplicate value: "programs"'),
    ({f"{VOLUMES}__1__emptyDir": None}, f"{POD}.volumes[1]: Required value: must specify a volume type"),
    ({f"{VOLUMES}__1__secret": {"secretName": "s"}}, "Forbidden: may not specify more than 1 volume type"),
    ({f"{VOLUMES}__0__configMap__name": None}, f"{POD}.volumes[0].configMap.name: Required value"),
    ({f"{VOLUMES}__0__configMap__defaultMode": 0o1000}, "must be a number between 0 and 0777 (octal), both inclusive"),
    (
        {f"{VOLUMES}__0__configMap__items__0__path": "../a"},
        "items[0].path: Invalid value: \"../a\": must not contain '..'",
    ),
    ({f"{VOLUMES}__0__configMap__items__0__path": "/a"}, 'items[0].path: Invalid value: "/a": must be a relative path'),
    (
        {f"{VOLUMES}__2__downwardAPI__items__0__fieldRef__fieldPath": "status.podIP"},
        'Unsupported value: "status.podIP": supported values: "metadata.annotations"',
    ),
]


@pytest.mark.parametrize(
    ("changes", "sentence"), REFUSED, ids=lambda one: next(iter(one)) if isinstance(one, dict) else None
)
def test_a_job_is_refused_with_the_server_s_sentence(changes, sentence):
    found = problems(changed(JOB, **changes))

    assert [one for one in found if sentence in one], found


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (changed(CONFIG_MAP, data={"a b": "c"}), 'data[a b]: Invalid value: "a b": a valid config key must consist of'),
        (changed(CONFIG_MAP, data={"..a": "c"}), "must not start with '..'"),
        (changed(CONFIG_MAP, binaryData={"pod.json": "YQ=="}), "duplicate of key present in binaryData"),
        (changed(CONFIG_MAP, binaryData={"a": "?"}), "illegal base64 data"),
        (changed(CONFIG_MAP, data={"a": "b" * (1024 * 1024 + 1)}), "Too long: may not be more than 1048576 bytes"),
        (changed(SECRET, data={"key": "!"}), "illegal base64 data"),
        (
            changed(SECRET, data={"a": base64.b64encode(b"b" * (1024 * 1024 + 1)).decode()}),
            "data: Too long: may not be more than 1048576 bytes",
        ),
        (
            changed(SERVICE, metadata__name="1-run"),
            'metadata.name: Invalid value: "1-run": a DNS-1035 label must consist of',
        ),
        (changed(SERVICE, spec__clusterIP=None), "spec.ports: Required value"),
        (changed(SERVICE, spec__type="Mine"), 'spec.type: Unsupported value: "Mine"'),
        (changed(SERVICE, spec__selector={"a": "b c"}), 'spec.selector: Invalid value: "b c"'),
        (changed(JOB, apiVersion="batch/v2"), 'no matches for kind "Job" in version "batch/v2"'),
    ],
    ids=lambda one: one if isinstance(one, str) else None,
)
def test_other_objects_are_refused_with_the_server_s_sentence(manifest, sentence):
    found = problems(manifest)

    assert [one for one in found if sentence in one], found


def test_a_name_of_61_is_taken_with_three_pods():
    assert problems(changed(JOB, metadata__name="a" * 61)) == []


def test_fields_that_are_null_are_as_good_as_absent():
    nothing = changed(JOB)
    nothing["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = None

    assert problems(nothing) == []


def test_unknown_fields_are_errors_warnings_or_nothing():
    kind, wrong = KINDS["jobs"], changed(JOB, spec__nodes=3)
    value, warnings = validation.decode(kind, wrong, "1.32", "Warn")

    assert ("nodes" in value["spec"], warnings) == (False, ['unknown field "spec.nodes"'])
    assert validation.decode(kind, wrong, "1.32", "Ignore")[1] == []
    with pytest.raises(StatusError, match=r'strict decoding error: unknown field "spec.nodes"') as refusal:
        validation.decode(kind, wrong, "1.32", "Strict")
    assert refusal.value.code == 400


@pytest.mark.parametrize(
    ("manifest", "changes", "sentence"),
    [
        (JOB, {"spec__completions": 4}, "spec.completions: Invalid value: 4: field is immutable"),
        (JOB, {f"{CONTAINER}__image": "team/model:2"}, "spec.template: Invalid value: "),
        (JOB, {f"{TEMPLATE}__spec__nodeSelector": {"a": "b"}}, "field is immutable"),
        (JOB, {f"{RULES}__1__onExitCodes__values": [1]}, "spec.podFailurePolicy: Invalid value: "),
        (SECRET, {"data__key": "b3RoZXI="}, "data: Forbidden: field is immutable when `immutable` is set"),
        (SECRET, {"immutable": False}, "immutable: Forbidden: field is immutable when `immutable` is set"),
        (changed(CONFIG_MAP, immutable=True), {"data__pod.json": "[]"}, "data: Forbidden: field is immutable"),
        (SERVICE, {"spec__clusterIP": "10.0.0.1", "spec__ports": [{"port": 1}]}, "may not change once set"),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) and "kind" not in one else None,
)
def test_what_may_not_change_is_refused_on_update(manifest, changes, sentence):
    kind = next(kind for kind in KINDS.values() if kind.name == manifest["kind"])
    before, after = (validation.filled(kind, one) for one in (manifest, changed(manifest, **changes)))

    with pytest.raises(StatusError) as refusal:
        validation.check_update(kind, before, after)
    assert refusal.value.code == 422
    assert sentence in refusal.value.message


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        (JOB, {"spec__suspend": True}),
        (JOB, {"spec__completions": 2, "spec__parallelism": 2}),
        (changed(JOB, spec__suspend=True), {f"{TEMPLATE}__spec__nodeSelector": {"a": "b"}}),
        (JOB, {"metadata__labels__a": "b"}),
    ],
)
def test_what_may_change_does(before, changes):
    kind = KINDS["jobs"]

    validation.check_update(kind, validation.filled(kind, before), validation.filled(kind, changed(before, **changes)))


def test_a_refusal_names_the_object_its_problems_and_their_fields():
    kind = KINDS["jobs"]
    with pytest.raises(StatusError) as refusal:
        validation.check(kind, validation.filled(kind, changed(JOB, spec__backoffLimit=-1, spec__completions=None)))
    status = refusal.value.status()

    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["message"].startswith(
        'Job.batch "madctl-r" is invalid: [spec.backoffLimit: Invalid value: -1: must be'
    )
    assert [(one["field"], one["reason"]) for one in status["details"]["causes"]] == [
        ("spec.backoffLimit", "FieldValueInvalid"),
        ("spec.completions", "FieldValueRequired"),
    ]
