# SPDX-License-Identifier: Apache-2.0
"""From a pod to what the runtime is told: environment, command, volumes. Nothing here has effects."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.cluster.quantity import amount
from tests.integration.cluster.volumes import field

Object = dict[str, Any]
_REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z0-9]+)\))")
FILES = ("configMap", "secret", "downwardAPI", "projected")


def not_modelled(pod: Object) -> str | None:
    """Name what a pod asks for and the stand-in does not have."""
    spec = pod["spec"]
    (container, *others) = spec["containers"]
    if spec.get("initContainers") or others:
        return "more than one container"
    known = {*FILES, "emptyDir", "persistentVolumeClaim", "name"}
    for volume in spec.get("volumes") or ():
        if set(volume) - known:
            return f"a volume of kind {', '.join(sorted(set(volume) - known))}"
    if any("subPath" in mount or "subPathExpr" in mount for mount in container.get("volumeMounts") or ()):
        return "subPath"
    found = {"envFrom", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe"} & set(container)
    return ", ".join(sorted(found)) or None


def environment(pod: Object, path: str, value_of: Callable[[str, Object], str]) -> dict[str, str]:
    """
    Return a container's environment: what its image and its manifest say, nothing of this machine.

    Args:
        path: PATH of the image.
        value_of: Finds the value of a key of a ConfigMap or a Secret.
    """
    spec = pod["spec"]
    found = {"PATH": path, "HOSTNAME": hostname(pod), "HOME": "/root"}
    own: dict[str, str] = {}
    for variable in spec["containers"][0].get("env") or ():
        source = variable.get("valueFrom")
        if source is None:
            own[variable["name"]] = expanded(variable.get("value", ""), own)
        elif "fieldRef" in source:
            own[variable["name"]] = field(pod, source["fieldRef"]["fieldPath"])
        else:
            (kind,) = source
            own[variable["name"]] = value_of(kind, source[kind])
    return found | own


def expanded(text: str, variables: dict[str, str]) -> str:
    """Replace ``$(NAME)`` as kubelets do: unknown names stay, and ``$$`` is a dollar sign."""
    return _REFERENCE.sub(lambda found: "$" if found[1] is None else variables.get(found[1], found[0]), text)


def command(pod: Object, variables: dict[str, str]) -> list[str]:
    """Return the words of a container; an image without an entry point needs a command."""
    container = pod["spec"]["containers"][0]
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return [expanded(word, variables) for word in words]


def hostname(pod: Object) -> str:
    """Return the name that a container sees as its host's."""
    return (pod["spec"].get("hostname") or pod["metadata"]["name"])[:63]


def mounts(pod: Object, directory: Path, claims: Path) -> list[Object]:
    """Return the mounts of a container, outermost first."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    found = []
    for one in pod["spec"]["containers"][0].get("volumeMounts") or ():
        volume = volumes[one["name"]]
        mount = {"path": one["mountPath"], "read_only": bool(one.get("readOnly"))}
        empty = volume.get("emptyDir")
        if empty is not None and empty.get("medium") == "Memory":
            mount["memory"] = int(amount(empty["sizeLimit"])) if "sizeLimit" in empty else 0
        elif "persistentVolumeClaim" in volume:
            mount["source"] = str(claims / volume["persistentVolumeClaim"]["claimName"])
        else:
            mount["source"] = str(directory / one["name"])
            # Kubelets mount files of the API read-only, whatever a manifest says.
            mount["read_only"] |= any(kind in volume for kind in FILES)
        found.append(mount)
    return sorted(found, key=lambda mount: mount["path"])


def identity(pod: Object) -> Object:
    """Return the user and the groups of a container; images are root's where a manifest says nothing."""
    wanted = {**(pod["spec"].get("securityContext") or {})}
    wanted |= pod["spec"]["containers"][0].get("securityContext") or {}
    groups = [*(wanted.get("supplementalGroups") or ()), *([wanted["fsGroup"]] if "fsGroup" in wanted else [])]
    return {"user": wanted.get("runAsUser", 0), "group": wanted.get("runAsGroup", 0), "groups": groups}
