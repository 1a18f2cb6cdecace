# SPDX-License-Identifier: Apache-2.0
"""What kubernetes.core says if it cannot create an object is told in the words of the server."""

import json

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import creation


def answer(code, message):
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return f"Failed to create object: {json.dumps(status).encode()}"


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        (answer(403, 'it\'s "forbidden"'), "SCHEDULER_REFUSED", 'Kubernetes: it\'s "forbidden"'),
        (answer(422, "Job.batch is\n invalid"), "SCHEDULER_REFUSED", "Kubernetes: Job.batch is invalid"),
        (answer(429, "too many requests"), "SCHEDULER_UNREACHABLE", "Kubernetes: too many requests"),
        (answer(500, "etcd"), "SCHEDULER_UNREACHABLE", "Kubernetes: etcd"),
        (
            "Failed to create object: HTTPSConnectionPool: Max retries exceeded",
            "SCHEDULER_UNREACHABLE",
            "the Kubernetes API server cannot be reached: "
            "Failed to create object: HTTPSConnectionPool: Max retries exceeded",
        ),
        ("{not: an answer}", "SCHEDULER_REFUSED", "kubernetes.core: {not: an answer}"),
        ("b'{\\xzz}'", "SCHEDULER_REFUSED", "kubernetes.core: b'{\\xzz}'"),
    ],
)
def test_what_it_says_is_a_problem_of_ours(said, code, message):
    found = creation.refusal(said)

    assert (found["code"], found["message"]) == (code, message)


def test_what_another_play_is_creating_is_not_ours_to_remove():
    assert creation.is_ours(answer(403, "exceeded quota"))
    assert not creation.is_ours(answer(422, "field is immutable").replace("create", "patch"))
