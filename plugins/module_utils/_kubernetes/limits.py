# SPDX-License-Identifier: Apache-2.0
"""
Find what the server of a cluster would refuse, and what no pod could have, before anything is created.

Reasons are the server's own if it gives one. Pure; private to the collection.
"""

from __future__ import annotations

import base64
import posixpath
from typing import Any, Callable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import manifests, pod_volumes
from ansible_collections.madctl.multinode.plugins.module_utils._request import kubernetes_values as values
from ansible_collections.madctl.multinode.plugins.module_utils._request import kubernetes_words, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME, Row

Arguments = Mapping[str, Any]
Named = Callable[[Row], str]
Reason = values.Reason

SCRIPT_BYTES = 256 << 10
_OBJECT_BYTES = 1 << 20
_LEAST_TTL = 60.0
_OURS = (names.PROGRAMS, names.SECRETS, names.ORDERS, names.CODE, pod_volumes.SHM)
_SYSTEM = ("/proc", "/sys", "/dev")


class Rule(NamedTuple):
    """The rule for one argument, or for each entry of a list."""

    name: str
    reason: Callable[[str], Reason]
    example: str


def problems(asked: Arguments, named: Named = validation.as_variable) -> List[Problem]:
    """
    Find what a cluster would refuse in the arguments of a launch.

    Args:
        asked: Parsed arguments, by the names of the table of options.
        named: Returns the user's name for a row of that table.
    """
    found = [*_missing(asked, named)]
    for rule in _RULES:
        value = asked.get(rule.name)
        for one in value if isinstance(value, (list, tuple)) else [] if value is None else [value]:
            reason = rule.reason(str(one))
            if reason:
                said = "%s %r: %s" % (named(BY_NAME[rule.name]), str(one), reason)
                found.append(_usage(said, "write it as in %s" % rule.example))
    # A value that is invalid by itself is not compared with others.
    return found or [*_contradictions(asked, named)]


def _usage(message: str, remedy: Optional[str] = None) -> Problem:
    return problem("USAGE", None, message, remedy)


# -- single values ------------------------------------------------------------------------------------------


def _resource(text: str) -> Reason:
    try:
        name, count = kubernetes_words.pair(text)
    except ValueError:
        return "must be NAME=NUMBER"
    if not (count.isascii() and count.isdigit() and 0 < len(count) <= 9 and int(count)):
        return "must be an integer greater than zero"
    return values.extended_resource(name)


def _selector(text: str) -> Reason:
    try:
        key, value = kubernetes_words.pair(text)
    except ValueError:
        return "must be KEY=VALUE"
    return values.label_key(key) or values.label_value(value)


def _toleration(text: str) -> Reason:
    try:
        found = kubernetes_words.toleration(text)
    except ValueError:
        return "must be KEY[=VALUE][:EFFECT], with an effect of %s" % ", ".join(kubernetes_words.EFFECTS)
    return values.label_key(found.key) or values.label_value(found.value or "")


def _volume(text: str) -> Reason:
    if text.startswith("/"):
        return "directories of nodes are not mounted, only persistent volume claims"
    try:
        found = kubernetes_words.volume(text)
    except ValueError:
        return "must be CLAIM:PATH or CLAIM:PATH:ro"
    path = found.path
    if not path.startswith("/") or path.startswith("//") or posixpath.normpath(path) != path:
        return "must be mounted on an absolute path without '.', '..' or empty parts"
    if path == "/" or any(_is_in(path, place) for place in _SYSTEM + _OURS):
        return "must not be mounted on / or in %s" % ", ".join(_SYSTEM + _OURS)
    return values.subdomain(found.claim)


def _is_in(path: str, place: str) -> bool:
    return path == place or path.startswith(place + "/")


_RULES = (
    Rule("k8s_namespace", values.label, "team-a"),
    Rule("k8s_image", values.image, "registry.example.org/team/train:1.2"),
    Rule("k8s_image_pull_secrets", values.subdomain, "registry-key"),
    Rule("k8s_gpu_resource", values.extended_resource, "amd.com/gpu"),
    Rule("k8s_cpu", values.cpu, "8"),
    Rule("k8s_memory", values.memory, "64Gi"),
    Rule("k8s_shm_size", values.memory, "16Gi"),
    Rule("k8s_resources", _resource, "rdma/hca=1"),
    Rule("k8s_node_selector", _selector, "pool=train"),
    Rule("k8s_tolerations", _toleration, "amd.com/gpu:NoSchedule"),
    Rule("k8s_priority_class", values.subdomain, "high"),
    Rule("k8s_scheduler_name", values.subdomain, "volcano"),
    Rule("k8s_queue", values.queue, "team-a"),
    Rule("k8s_service_account", values.subdomain, "train"),
    Rule("k8s_volumes", _volume, "datasets:/data:ro"),
)


# -- several values -----------------------------------------------------------------------------------------


def _missing(asked: Arguments, named: Named) -> Iterator[Problem]:
    called = {name: named(row) for name, row in BY_NAME.items()}
    if not asked.get("nnodes"):
        yield _usage("the number of nodes is missing", "set %s" % called["nnodes"])
    if not asked.get("k8s_image"):
        yield _usage("the container image is missing", "set %s" % called["k8s_image"])
    if asked.get("k8s_gpus_per_node") and not asked.get("k8s_gpu_resource"):
        message = "%s needs the name by which the cluster offers its GPUs" % called["k8s_gpus_per_node"]
        yield _usage(message, "set %s to amd.com/gpu or nvidia.com/gpu" % called["k8s_gpu_resource"])
    if asked.get("tags"):
        message = "%s: madengine starts containers with docker, which pods do not have" % called["tags"]
        yield _usage(message, "run the script of the model in the image of the model")


def _contradictions(asked: Arguments, named: Named) -> Iterator[Problem]:
    gpus = [asked["k8s_gpu_resource"]] if asked.get("k8s_gpus_per_node") else []
    resources = [kubernetes_words.pair(one)[0] for one in asked.get("k8s_resources") or []]
    labels = [kubernetes_words.pair(one)[0] for one in asked.get("k8s_node_selector") or []]
    volumes = [kubernetes_words.volume(one) for one in asked.get("k8s_volumes") or []]
    paths = [one.path for one in volumes]
    for name, given in (
        ("k8s_resources", gpus + resources),
        ("k8s_node_selector", labels),
        ("k8s_volumes", paths),
    ):
        for twice in _twice(given):
            yield _usage("%s: %s is given twice" % (named(BY_NAME[name]), twice), "leave one of them out")
    yield from _of_memory(asked, named)
    if asked.get("run_dir"):
        message = "%s is about directories on nodes, and those of pods end with them" % named(BY_NAME["run_dir"])
        yield _usage(message, "keep the output with %s in a volume" % named(BY_NAME["run_root"]))
    yield from _of_run_root(asked, named, [one.path for one in volumes if not one.read_only])
    ttl = asked.get("k8s_ttl")
    if ttl is not None and ttl < _LEAST_TTL:
        message = "%s %g: the end of the run may be gone before it is read" % (named(BY_NAME["k8s_ttl"]), ttl)
        yield _usage(message, "give it at least %d seconds" % _LEAST_TTL)
    if asked.get("run_id") and asked.get("nnodes"):
        yield from _of_name(str(asked["run_id"]), asked["nnodes"], named)


def _twice(given: Sequence[str]) -> List[str]:
    return sorted({one for one in given if given.count(one) > 1})


def _of_memory(asked: Arguments, named: Named) -> Iterator[Problem]:
    shm, memory = asked.get("k8s_shm_size"), asked.get("k8s_memory")
    if shm and memory and kubernetes_words.quantity(shm) > kubernetes_words.quantity(memory):
        said = (named(BY_NAME["k8s_shm_size"]), shm, named(BY_NAME["k8s_memory"]), memory)
        yield _usage("%s %s exceeds %s %s, of which it is a part" % said, "ask for more memory")


def _of_run_root(asked: Arguments, named: Named, places: Sequence[str]) -> Iterator[Problem]:
    root, called = asked.get("run_root"), named(BY_NAME["run_root"])
    if root and not any(_is_in(posixpath.normpath(root), place) for place in places):
        message = "%s %s is not in a volume that pods may write to" % (called, root)
        yield _usage(message, "mount one there with %s, or leave it out" % named(BY_NAME["k8s_volumes"]))


def _of_name(run_id: str, nodes: int, named: Named) -> Iterator[Problem]:
    """Refuse the ID of a run with which the host name of the last pod would not be a DNS label."""
    reason = values.label("%s-%d" % (names.name(run_id), nodes - 1))
    if reason:
        message = "%s %r: will not able to create pod with invalid DNS label: %s"
        yield _usage(message % (named(BY_NAME["run_id"]), run_id, reason), "leave it out")


# -- objects ------------------------------------------------------------------------------------------------


def sizes(objects: Sequence[manifests.Manifest], named: Named = validation.as_variable) -> List[Problem]:
    """Find objects that are too large for a cluster; keys do not count."""
    found = []
    remedies = {
        "Secret": "pass less by %s; have the job read it from a volume" % named(BY_NAME["env"]),
        "ConfigMap": "leave out %s" % named(BY_NAME["k8s_send_script"]),
    }
    for one in objects:
        size = _size(one)
        if one["kind"] in remedies and size > _OBJECT_BYTES:
            message = "the %s of the run has %d bytes, and a cluster takes no more than %d"
            found.append(_usage(message % (one["kind"], size, _OBJECT_BYTES), remedies[one["kind"]]))
    return found


def _size(one: manifests.Manifest) -> int:
    texts, encoded = one.get("data", {}), one.get("binaryData", {})
    if one["kind"] == "Secret":
        texts, encoded = {}, texts
    return sum(len(text.encode()) for text in texts.values()) + sum(map(_decoded, encoded.values()))


def _decoded(text: str) -> int:
    return len(base64.b64decode(text))


def script(name: str, data: bytes) -> Tuple[Reason, str]:
    """Return why a script cannot be sent to pods, and what to do about it."""
    ours = (names.BOOT, names.ABOUT, names.PARCEL)
    if not name.isprintable() or name in ("", *ours) or name.startswith(".."):
        return "cannot have that name in %s" % names.PROGRAMS, "rename it"
    if len(data) > SCRIPT_BYTES:
        return "has more than %d bytes" % SCRIPT_BYTES, "put it in the image, or on a volume"
    return None, ""
