# SPDX-License-Identifier: Apache-2.0
"""Judge whether a path is on storage that all nodes share. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._codes import Problem, problem

NETWORK_TYPES = frozenset(
    ["nfs", "nfs4", "lustre", "beegfs", "ceph", "gpfs", "glusterfs", "cifs", "smb3", "9p", "virtiofs", "wekafs"]
    + ["fuse." + name for name in ("sshfs", "glusterfs", "ceph", "beegfs", "lustre", "gpfs", "juicefs")]
)
_MOUNT_IT = "mount it there; madctl never creates it"


def judge(nodes: Sequence[Tuple[str, Dict[str, Any]]], paths: Sequence[str]) -> List[Problem]:
    """Report every node where a path is missing, plain, or hung."""
    found = []
    for host, facts in nodes:
        for path, mount in zip(paths, facts["mounts"]):
            entry = _judge_one(host, path, mount)
            if entry:
                found.append(entry)
    return found


def _judge_one(host: str, path: str, mount: Dict[str, Any]) -> Problem | None:
    if mount["hung"]:
        return problem("MOUNT_HUNG", host, "%s does not answer" % path, "check the file server and the network to it")
    if not mount["exists"]:
        return problem("MOUNT_MISSING", host, "%s does not exist" % path, _MOUNT_IT)
    if mount["fstype"] not in NETWORK_TYPES:
        message = "%s is not shared: it is on %s (%s), mounted at %s" % (
            path,
            mount["source"],
            mount["fstype"],
            mount["point"],
        )
        return problem("MOUNT_NOT_SHARED", host, message, _MOUNT_IT)
    return None
