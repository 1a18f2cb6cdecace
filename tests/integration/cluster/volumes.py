# SPDX-License-Identifier: Apache-2.0
"""Volumes of a pod as files of its kubelet, changed at once by a symbolic link, as kubelets do."""

from __future__ import annotations

import base64
import os
import re
import uuid
from pathlib import Path
from typing import Any

from tests.integration.cluster.store import Store

Object = dict[str, Any]
_FIELD = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class MountError(Exception):
    """A volume that cannot be mounted now: the kubelet says why, and tries again."""


def field(pod: Object, path: str) -> str:
    """Return what a field of a pod says, as the downward API writes it."""
    meta, one = pod["metadata"], _FIELD.fullmatch(path)
    if one:
        return (meta.get(one[1]) or {}).get(one[2], "")
    if path in ("metadata.labels", "metadata.annotations"):
        # Kubelets add two annotations of their own, which the API does not show.
        own = {"kubernetes.io/config.source": "api", "kubernetes.io/config.seen": meta["creationTimestamp"]}
        found = {**(own if path == "metadata.annotations" else {}), **(meta.get(path[9:]) or {})}
        return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(found.items()))
    if path in ("metadata.name", "metadata.namespace", "metadata.uid"):
        return meta[path[9:]]
    if path in ("spec.nodeName", "spec.serviceAccountName"):
        return pod["spec"].get(path[5:], "")
    status = pod.get("status", {})
    names = {"status.podIP": "podIP", "status.hostIP": "hostIP", "status.podIPs": "podIP", "status.hostIPs": "hostIP"}
    return status.get(names[path], "")


def _quoted(text: str) -> str:
    """Quote as Go's %q does."""
    named = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"%s"' % "".join(named.get(one) or (one if one.isprintable() else f"\\u{ord(one):04x}") for one in text)


def files(store: Store, pod: Object, volume: Object) -> dict[str, tuple[bytes, int]]:
    """
    Return the files of a volume by path, with their modes.

    Raises:
        MountError: If what it names is not there.
    """
    namespace = pod["metadata"]["namespace"]
    if "projected" in volume:
        mode = volume["projected"].get("defaultMode", 0o644)
        parts = (files(store, pod, {"name": volume["name"], **one}) for one in volume["projected"].get("sources", []))
        return {path: (content, mode) for part in parts for path, (content, _) in part.items()}
    if "downwardAPI" in volume:
        source = volume["downwardAPI"]
        mode = source.get("defaultMode", 0o644)
        items = source.get("items", [])
        return {
            one["path"]: (field(pod, one["fieldRef"]["fieldPath"]).encode(), one.get("mode", mode)) for one in items
        }
    if "configMap" in volume:
        source, plural = volume["configMap"], "configmaps"
        name = source["name"]
    else:
        source, plural = volume["secret"], "secrets"
        name = source["secretName"]
    found = store.find(plural, namespace, name)
    if found is None and not source.get("optional"):
        raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {plural[:-1]} "{name}" not found')
    return _chosen(_data(found or {}, plural), source, volume["name"], plural)


def _data(found: Object, plural: str) -> dict[str, bytes]:
    coded = found.get("data" if plural == "secrets" else "binaryData") or {}
    plain = (found.get("data") or {}) if plural == "configmaps" else {}
    data = {key: text.encode() for key, text in plain.items()}
    return data | {key: base64.b64decode(text) for key, text in coded.items()}


def _chosen(data: dict[str, bytes], source: Object, volume: str, plural: str) -> dict[str, tuple[bytes, int]]:
    mode, items = source.get("defaultMode", 0o644), source.get("items")
    if items is None:
        return {key: (content, mode) for key, content in data.items()}
    for item in items:
        if item["key"] not in data and not source.get("optional"):
            why = f"references non-existent {plural[:-1]} key: {item['key']}"
            raise MountError(f'MountVolume.SetUp failed for volume "{volume}" : {why}')
    return {one["path"]: (data[one["key"]], one.get("mode", mode)) for one in items if one["key"] in data}


def write(directory: Path, wanted: dict[str, tuple[bytes, int]], group: int | None = None) -> None:
    """Write files so that a reader sees either all old ones or all new ones."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    link = directory / "..data"
    before = link.resolve() if link.is_symlink() else None
    new = directory / f"..{uuid.uuid4().hex}"
    new.mkdir(mode=0o755)
    for path, (content, mode) in wanted.items():
        place = new / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        if group is not None:
            os.chown(place, -1, group)
            mode |= 0o440
        place.chmod(mode)
    partial = directory / "..data_tmp"
    partial.symlink_to(new.name)
    partial.replace(link)
    for top in {path.split("/")[0] for path in wanted}:
        if not (directory / top).is_symlink():
            (directory / top).symlink_to(f"..data/{top}")
    if before is not None:
        for path in sorted(before.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        before.rmdir()
