# SPDX-License-Identifier: Apache-2.0
"""Objects of runs, judged by Kubernetes' own schemas and by the models of its Python client."""

import base64
import functools
import json

import kubernetes_validate
from kubernetes import client

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import manifests

# The oldest that is promised, one between, and the newest that is known.
VERSIONS = ("1.29", "1.33", kubernetes_validate.latest_version())
RUN = "20261201-045000-abcd0123"
NAME = "madctl-" + RUN
PARCEL = manifests.Parcel(RUN, bytes(range(32)), b'{"arguments": {}}', "print()\n", b"PK")
NEEDED = {"nnodes": 2, "k8s_image": "image"}
_CLIENT = client.ApiClient()


def checked(objects):
    """Return objects that every version takes, and that have no field which the client does not know."""
    for one in objects:
        _judge(json.dumps(one))
    return objects


@functools.cache
def _judge(text):
    """Judge one object; many tests make the same ones."""
    one = json.loads(text)
    for version in VERSIONS:
        kubernetes_validate.validate(one, version, strict=True)
    model = _CLIENT._ApiClient__deserialize(one, "V1" + one["kind"])
    assert _CLIENT.sanitize_for_serialization(model) == one


def of(parcel=PARCEL, **asked):
    """Return the objects of a run by their kinds."""
    found = manifests.objects({**NEEDED, **asked}, parcel)
    return {one["kind"]: one for one in checked(found)}


def job(parcel=PARCEL, **asked):
    """Return what a Job says of itself, and what it says of its pods."""
    spec = of(parcel, **asked)["Job"]["spec"]
    return spec, spec["template"]["spec"]


def decoded(text):
    return base64.b64decode(text)
