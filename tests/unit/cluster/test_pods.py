# SPDX-License-Identifier: Apache-2.0
"""The parts of the stand-in for controller and kubelet that have no effects: names, files, logs, rules."""

import os
from itertools import islice, pairwise
from random import Random

import pytest

from tests.integration.cluster import container_spec, failure_policy, names, pod_template, quantity, volumes
from tests.integration.cluster.job_controller import _indexes, _ranges
from tests.integration.cluster.logs import LONGEST, Log, Wanted, stamp
from tests.integration.cluster.store import Store

META = {"name": "p-0-abcde", "namespace": "n", "uid": "u", "creationTimestamp": "2026-12-01T04:50:00Z"}


def pod(container=(), meta=(), status=(), **spec):
    run = {"name": "run", "image": "i", **dict(container)}
    return {"metadata": {**META, **dict(meta)}, "spec": {"containers": [run], **spec}, "status": dict(status)}


# -- environment and command ----------------------------------------------------------------------------


def test_a_container_s_environment_is_its_manifest_s_and_its_image_s():
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)-$(NONE)-$$(A)"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {
            "name": "INDEX",
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}},
        },
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    found = container_spec.environment(
        pod({"env": env}, {"labels": {pod_template.INDEX: "2"}}, nodeName="node3", hostname="p-0"),
        "/bin",
        lambda kind, wanted: f"{kind} {wanted['key']}",
    )

    assert found == {
        "PATH": "/bin",
        "HOME": "/root",
        "HOSTNAME": "p-0",
        "A": "1",
        "B": "1-$(NONE)-$(A)",
        "NODE": "node3",
        "INDEX": "2",
        "KEY": "secretKeyRef k",
    }


def test_a_command_s_words_are_expanded():
    words = {"command": ["run", "$(A)"], "args": ["$$(A)", "$A", "$(B)"]}

    assert container_spec.command(pod(words), {"A": "1"}) == ["run", "1", "$(A)", "$A", "$(B)"]


@pytest.mark.parametrize(
    ("manifest", "lacking"),
    [
        (pod(), None),
        (pod(initContainers=[{}]), "more than one container"),
        (pod(volumes=[{"name": "v", "hostPath": {}}]), "a volume of kind hostPath"),
        (pod({"volumeMounts": [{"subPath": "a"}]}), "subPath"),
        (pod({"livenessProbe": {}}), "livenessProbe"),
    ],
)
def test_what_is_not_modelled_is_named(manifest, lacking):
    assert container_spec.not_modelled(manifest) == lacking


@pytest.mark.parametrize(
    ("text", "value"),
    [("8", 8), ("500m", 0.5), ("64Gi", 64 * 2**30), ("1.5k", 1500), ("1e3", 1000), (2, 2), ("1E", 10**18)],
)
def test_quantities_are_read(text, value):
    assert quantity.is_quantity(text)
    assert float(quantity.amount(text)) == value


@pytest.mark.parametrize("text", ["", "64 GiB", "GB", "1GB", "--1", "1.2.3"])
def test_what_is_no_quantity_is_told(text):
    assert not quantity.is_quantity(text)


# -- volumes ----------------------------------------------------------------------------------------------


def test_annotations_are_written_as_kubelets_do():
    found = volumes.field(pod(meta={"annotations": {"z": "1", "a": 'say "x"\n'}}), "metadata.annotations")

    assert found.splitlines() == [
        'a="say \\"x\\"\\n"',
        'kubernetes.io/config.seen="2026-12-01T04:50:00Z"',
        'kubernetes.io/config.source="api"',
        'z="1"',
    ]
    assert volumes.field(pod(meta={"labels": {"b": "2", "a": "1"}}), "metadata.labels") == 'a="1"\nb="2"'


def test_files_change_all_at_once_and_old_ones_go(tmp_path):
    volumes.write(tmp_path / "v", {"a": (b"1", 0o400), "d/b": (b"2", 0o644)})
    first = os.readlink(tmp_path / "v" / "..data")
    volumes.write(tmp_path / "v", {"a": (b"3", 0o400), "d/b": (b"4", 0o644)})

    assert [(tmp_path / "v" / name).read_text() for name in ("a", "d/b")] == ["3", "4"]
    assert (tmp_path / "v" / "a").stat().st_mode & 0o777 == 0o400
    assert sorted(os.listdir(tmp_path / "v")) == sorted(["..data", "a", "d", os.readlink(tmp_path / "v" / "..data")])
    assert first != os.readlink(tmp_path / "v" / "..data")


def test_a_volume_of_what_is_not_there_cannot_be_mounted():
    store = Store()
    volume = {"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "p", "mode": 0o440}]}}
    with pytest.raises(volumes.MountError, match='secret "s" not found'):
        volumes.files(store, pod(), volume)
    store.create("secrets", {"metadata": {"name": "s", "namespace": "n"}, "data": {"other": "YQ=="}})
    with pytest.raises(volumes.MountError, match="references non-existent secret key: k"):
        volumes.files(store, pod(), volume)
    store.change("secrets", "n", "s", lambda value: value["data"].update(k="YQ=="))

    assert volumes.files(store, pod(), volume) == {"p": (b"a", 0o440)}


# -- names --------------------------------------------------------------------------------------------------


def test_a_headless_service_publishes_the_names_of_its_pods_that_have_an_address():
    service = {"metadata": {"name": "s", "namespace": "n"}, "spec": {"clusterIP": "None", "selector": {"j": "s"}}}
    one = pod(
        meta={"labels": {"j": "s"}}, status={"phase": "Running", "podIP": "10.0.0.1"}, hostname="s-0", subdomain="s"
    )
    other = pod(
        meta={"labels": {"j": "x"}}, status={"phase": "Running", "podIP": "10.0.0.2"}, hostname="x-0", subdomain="s"
    )

    assert "s-0.s " not in names.hosts_file(one, "10.0.0.1", [one, other], [service])
    service["spec"]["publishNotReadyAddresses"] = True
    text = names.hosts_file(one, "10.0.0.1", [one, other], [service])
    assert "10.0.0.1\ts-0.s s-0.s.n.svc.cluster.local " in text and "10.0.0.2" not in text
    one["status"]["phase"] = "Succeeded"
    assert "s-0.s " not in names.hosts_file(one, "10.0.0.1", [one, other], [service])


# -- logs -----------------------------------------------------------------------------------------------------


def written(*pieces):
    """Return a log of pieces that were written one after the other."""
    log = Log()
    reading, writing = os.pipe()
    with open(writing, "wb", buffering=0) as stream:
        for piece in pieces:
            stream.write(piece)
    log.read_stream(reading)
    log.end()
    return log


def read(log, **wanted):
    return b"".join(log.read(Wanted(**wanted)))


def test_a_log_has_its_lines_and_a_newline_after_the_last():
    assert read(written(b"a\nb", b"c\nrest")) == b"a\nbc\nrest\n"


def test_a_long_line_is_whole_and_has_one_time():
    shown = read(written(b"x" * (LONGEST + 10) + b"\nend\n"), timestamps=True)

    assert shown.count(b"Z ") == 2
    assert b"x" * (LONGEST + 10) + b"\n" in shown


def test_a_log_is_cut_by_lines_bytes_and_time():
    log = written(b"1\n2\n3\n")

    assert (read(log, tail=2), read(log, tail=0), read(log, limit=3), read(log, tail=9)) == (
        b"2\n3\n",
        b"",
        b"1\n2",
        b"1\n2\n3\n",
    )
    assert read(log, since_ns=log._lines[1].at) == b"2\n3\n"


def test_a_rotation_ends_a_stream_and_keeps_the_newest_lines():
    log = Log()
    stream = log.read(Wanted(follow=True))
    log._add(b"1\n", True)
    log._add(b"2\n", True)
    assert next(stream) == b"1\n2\n"
    log.rotate(keep=1)

    assert list(islice(stream, 2)) == [b""]
    assert next(log.read(Wanted(follow=True))) == b"2\n"


def test_times_have_nanoseconds_without_zeros_at_their_end():
    assert stamp(1_700_000_000_120_000_000) == "2023-11-14T22:13:20.12Z"
    assert stamp(1_700_000_000_000_000_000) == "2023-11-14T22:13:20Z"
    times = [stamp(1_700_000_000_000_000_000 + step * 1_000) for step in range(1, 4)]
    assert all(one < other for one, other in pairwise(times))


# -- Jobs -----------------------------------------------------------------------------------------------------


RULES = [
    {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}},
    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"containerName": "run", "operator": "NotIn", "values": [0, 9]}},
]


def failed(code, conditions=()):
    ends = [{"name": "run", "state": {"terminated": {"exitCode": code}}}]
    return pod(status={"containerStatuses": ends, "conditions": list(conditions)})


def test_the_first_rule_that_a_pod_meets_decides():
    disrupted = {"type": "DisruptionTarget", "status": "True"}

    assert (
        failure_policy.message(RULES, failed(6))
        == "Container run for pod n/p-0-abcde failed with exit code 6 matching FailJob rule at index 2"
    )
    assert (
        failure_policy.message(RULES, failed(143, [disrupted]))
        == "Pod n/p-0-abcde has condition DisruptionTarget matching FailJob rule at index 1"
    )
    assert [failure_policy.message(RULES, failed(code)) for code in (7, 9)] == [None, None]


def test_a_pod_of_an_index_has_its_name_hostname_labels_and_variable():
    template = {"metadata": {"labels": {"l": "1"}}, "spec": {"containers": [{"name": "run"}]}}
    job = {
        "metadata": {"name": "j", "namespace": "n", "uid": "u"},
        "spec": {"completionMode": "Indexed", "template": template},
    }
    found = pod_template.pod(job, 2, Random(1))

    assert found["metadata"]["name"].startswith("j-2-") and len(found["metadata"]["name"]) == len("j-2-") + 5
    assert (found["spec"]["hostname"], found["metadata"]["finalizers"]) == ("j-2", ["batch.kubernetes.io/job-tracking"])
    assert found["metadata"]["labels"] == {"l": "1", pod_template.INDEX: "2"} and found["metadata"]["annotations"] == {
        pod_template.INDEX: "2"
    }
    assert [one["name"] for one in found["spec"]["containers"][0]["env"]] == ["JOB_COMPLETION_INDEX"]
    assert template["spec"] == {"containers": [{"name": "run"}]}


@pytest.mark.parametrize(("text", "indexes"), [("", set()), ("0", {0}), ("0,1", {0, 1}), ("0-2,5", {0, 1, 2, 5})])
def test_indexes_are_written_as_ranges(text, indexes):
    assert (_indexes(text), _ranges(indexes)) == (indexes, text)
