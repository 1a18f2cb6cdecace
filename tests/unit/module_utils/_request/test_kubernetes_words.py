# SPDX-License-Identifier: Apache-2.0
"""How words for Kubernetes are read, and what pods are told of a launch."""

import json

import pytest
from hypothesis import given, strategies
from kubernetes.utils.quantity import parse_quantity

from ansible_collections.madctl.multinode.plugins.module_utils._request import (
    kubernetes_words,
    launch_request,
    validation,
)
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import TABLE

SUFFIXES = ("", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
NUMBERS = strategies.from_regex(r"[0-9]{1,6}(\.[0-9]{1,4})?|\.[0-9]{1,4}", fullmatch=True)


@given(NUMBERS, strategies.sampled_from(SUFFIXES))
def test_a_quantity_is_what_the_client_of_kubernetes_takes_it_for(number, suffix):
    assert kubernetes_words.quantity(number + suffix) == parse_quantity(number + suffix)


@pytest.mark.parametrize(
    ("text", "value"), [("1e3", 1000), ("2E-1", 1 / 5), ("5.", 5), ("1E", 10**18), ("1Ei", 1 << 60)]
)
def test_an_exponent_is_told_from_a_suffix(text, value):
    assert float(kubernetes_words.quantity(text)) == value


@pytest.mark.parametrize("text", ["", ".", "1K", "1 Gi", "+1", "-1", "1e", "1eE", "0x1", "1_0", "१", "1" * 41, "1\n"])
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError, match="^" if not text else None):
        kubernetes_words.quantity(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("a", None, None)),
        ("a=", ("a", "", None)),
        ("a=b", ("a", "b", None)),
        ("a/b.c:NoSchedule", ("a/b.c", None, "NoSchedule")),
        ("a=b:NoExecute", ("a", "b", "NoExecute")),
    ],
)
def test_a_toleration(text, parts):
    assert kubernetes_words.toleration(text) == parts


@pytest.mark.parametrize(
    ("text", "parts"), [("a:/b", ("a", "/b", False)), ("a:/b:ro", ("a", "/b", True)), ("a:ro:ro", ("a", "ro", True))]
)
def test_a_volume(text, parts):
    assert kubernetes_words.volume(text) == parts


# -- arguments in pods ----------------------------------------------------------------------------------------


def parsed(**asked):
    found, problems = validation.parsed({"work": ["train.py"], **asked})
    assert problems == []
    return found


def test_pods_are_told_nothing_of_the_cluster_or_of_who_launches():
    samples = {
        "k8s_image": "i",
        "k8s_context": "c",
        "slurm_partition": "p",
        "on": "k8s",
        "detach": True,
        "dry_run": True,
    }
    of_task = {"event_socket": "/s", "state": "submitted", "known_tags": []}
    found = kubernetes_words.in_pods(
        {**parsed(**samples, show_ranks="0", show_hosts="a", install=True), **of_task}, "r1"
    )

    assert found == {"work": ["train.py"], "run_id": "r1", "master_port": "auto", "skip": ["machine"]}


def test_pods_are_told_what_the_user_asked_for():
    asked = {"chdir": "/app", "python": "/opt/python3", "env": {"A": "1"}, "run_root": "/runs", "timeout": "1h"}
    found = kubernetes_words.in_pods(parsed(**asked, skip="clock", nnodes=2), "r1")

    assert asked | {"timeout": 3600.0} == {name: found[name] for name in asked}
    assert (found["nnodes"], found["skip"]) == (2, ["clock", "machine"])


@pytest.mark.parametrize(
    ("port", "usual", "told"),
    [(None, None, "auto"), ("29500", None, "29500"), ("29500", "29500", "auto"), ("1234", "29500", "1234")],
)
def test_the_port_of_the_rendezvous_is_any_free_one_unless_it_was_chosen(port, usual, told):
    assert kubernetes_words.in_pods({"master_port": port}, "r1", usual)["master_port"] == told


def test_arguments_with_all_defaults_are_a_request_that_pods_can_read():
    defaults = launch_request.filled({"work": ["train.py"], "run_id": "r1"})
    sent = json.loads(json.dumps(kubernetes_words.in_pods(defaults, "r1", "29500")))
    found, problems = validation.parsed(sent)
    told = {row.name for row in TABLE if row.name in found}

    assert problems == [] and launch_request.request(launch_request.filled(found), ()).work == ("train.py",)
    assert not [name for name in told if name.startswith(("k8s_", "slurm_"))]


@pytest.mark.parametrize(
    ("work", "shape", "typed"),
    [
        (["train.py", "--lr", "1"], "script", "train.py"),
        (["python3", "-u", "src/train.py", "src/train.py"], "script", "src/train.py"),
        (["bash", "-x", "run.sh"], "command", "run.sh"),
        (["-m", "train"], "script", None),
        (["nvidia-smi"], "command", None),
        (["./run.sh"], "command", None),
        ([], "script", None),
    ],
)
def test_the_script_that_may_be_sent(work, shape, typed):
    assert kubernetes_words.script(work, shape) == typed
    if typed:
        sent = kubernetes_words.with_script(work, typed, "/madctl/x.py")
        at = work.index(typed)
        assert sent[at] == "/madctl/x.py" and sent[:at] + [typed] + sent[at + 1 :] == work
