# SPDX-License-Identifier: Apache-2.0
"""
Judge whether paths are on storage that all nodes share: mounts first, then what nodes read of each other.

Pure; private to the collection.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils import _mounts
from ansible_collections.madctl.multinode.plugins.module_utils._codes import Problem, problem

Facts = Dict[str, Any]


def judge(nodes: Sequence[Tuple[str, Facts]], more_types: Sequence[str] = ()) -> List[Problem]:
    """
    Judge the mounts of every node, as far as one look at each tells.

    Args:
        nodes: Names and facts, in rank order; ``mounts`` of each has an entry a shared path.
        more_types: Types of file systems that count as shared beside the known ones.
    """
    types = [*_mounts.NETWORK_TYPES, *more_types]
    found: List[Problem] = []
    for paths in zip(*(facts["mounts"] for _, facts in nodes)):
        mounts = [(host, mount) for (host, _), mount in zip(nodes, paths)]
        wrong = [problem(*entry) for entry in (_judge_one(host, mount, types) for host, mount in mounts) if entry]
        found += wrong
        bad = {entry["host"] for entry in wrong}
        found += _compare([(host, mount) for host, mount in mounts if host not in bad])
    return found


def _judge_one(host: str, mount: Dict[str, Any], types: Sequence[str]) -> Optional[Tuple[str, str, str]]:
    path = mount["path"]
    where = "%s (%s) at %s" % (mount.get("source"), mount.get("fstype"), mount.get("point"))
    if mount["hung"]:
        stuck = mount["hung"]
        waits = ", process %d is stuck in %s" % (stuck["pid"], stuck["wait"] or "the kernel") if stuck["state"] else ""
        return "MOUNT_HUNG", host, "%s on %s does not answer%s" % (path, where, waits)
    if mount["error"] or mount.get("access_error"):
        reason = mount["error"] or mount["access_error"]
        return (
            "MOUNT_STALE" if mount.get("access_errno") == "ESTALE" else "MOUNT_UNREADABLE",
            host,
            "%s: %s" % (path, reason),
        )
    if not mount["exists"]:
        return "MOUNT_MISSING", host, "%s does not exist" % path
    if mount["fstype"] not in types:
        if mount["point"] == mount["real"] and mount["root"] != "/":
            return (
                "MOUNT_IS_BIND",
                host,
                "%s is no network storage: %s of this machine is bound there"
                % (
                    path,
                    mount["root"],
                ),
            )
        return "MOUNT_NOT_SHARED", host, "%s is not shared: it is on %s" % (path, where)
    if mount["read_only"]:
        return None
    if "ro" in mount["options"] or "ro" in mount["super_options"]:
        return "MOUNT_READ_ONLY", host, "%s is mounted read-only: %s" % (path, where)
    if mount.get("write_error"):
        code = "MOUNT_READ_ONLY" if mount["write_error"] == "Read-only file system" else "MOUNT_UNWRITABLE"
        return code, host, "%s cannot be written: %s" % (path, mount["write_error"])
    return None


def _compare(mounts: Sequence[Tuple[str, Dict[str, Any]]]) -> List[Problem]:
    """Compare what is mounted; for a path that is only read, also what is in it."""
    marks = [mount.get("mark") for _, mount in mounts]
    if any(marks):
        usual = Counter(marks).most_common(1)[0][0]
        return [
            problem("STORAGE_DIFFERS", host, "%s holds other files here than on most nodes" % mount["path"])
            for host, mount in mounts
            if mount.get("mark") != usual
        ]
    sources = ["%s%s" % (mount["source"], mount["root"] if mount["root"] != "/" else "") for _, mount in mounts]
    usual_source = Counter(sources).most_common(1)[0][0] if sources else ""
    types = [mount["fstype"] for _, mount in mounts]
    usual_type = Counter(types).most_common(1)[0][0] if types else ""
    found = [
        problem("EXPORT_DIFFERS", host, "%s is %s here, %s on most nodes" % (mount["path"], source, usual_source))
        for (host, mount), source in zip(mounts, sources)
        if source != usual_source
    ]
    return found + [
        problem("STORAGE_TYPE_DIFFERS", host, "%s is %s here, %s on most nodes" % (mount["path"], kind, usual_type))
        for (host, mount), kind in zip(mounts, types)
        if kind != usual_type
    ]


# -- the proof ----------------------------------------------------------------------------------


def reading(nodes: Sequence[Tuple[str, Facts]]) -> Dict[str, List[Dict[str, Any]]]:
    """
    Say what every node has to read: all read the first writer's file, and that one reads all others'.

    Returns:
        By host a list of ``path`` and ``names`` (file name by the host that wrote it).
    """
    wanted: Dict[str, List[Dict[str, Any]]] = {host: [] for host, _ in nodes}
    for paths in zip(*(facts["mounts"] for _, facts in nodes)):
        files = {host: mount["file"] for (host, _), mount in zip(nodes, paths) if mount.get("file")}
        if len(files) < 2:
            continue
        first = next(iter(files))
        for host in files:
            names = {first: files[first]} if host != first else {h: n for h, n in files.items() if h != first}
            wanted[host].append({"path": paths[0]["path"], "names": names})
    return wanted


def written(facts: Facts) -> List[Dict[str, Any]]:
    """List the files that a node wrote for the proof."""
    return [
        {"path": mount["path"], "file": mount["file"], "janitor": mount["janitor"], "nonce": mount["nonce"]}
        for mount in facts["mounts"]
        if mount.get("file")
    ]


def proven(facts: Sequence[Facts]) -> Optional[str]:
    """Name the first path that all of several nodes could write to, to tell each other when nobody else can."""
    for mounts in zip(*(fact["mounts"] for fact in facts)):
        if len(mounts) > 1 and all(mount.get("file") for mount in mounts):
            return str(mounts[0]["path"])
    return None


def judge_reading(proof: Dict[str, Dict[str, Any]], answers: Dict[str, List[Dict[str, Any]]]) -> List[Problem]:
    """
    Judge what nodes read of each other.

    Args:
        proof: By host what it ``written`` and what it was to ``read``, in rank order.
        answers: By host what it read, in the same order; hosts that gave nothing are left out.
    """
    nonces = {(host, own["path"]): own["nonce"] for host, wanted in proof.items() for own in wanted["written"]}
    found: List[Problem] = []
    unseen: Dict[str, List[Tuple[str, str]]] = {}
    for host, answer in answers.items():
        for request, got in zip(proof[host]["read"], answer):
            path = request["path"]
            if "value" not in got:
                code = "MOUNT_HUNG" if "hung" in got else "STORAGE_UNPROVEN"
                found.append(problem(code, host, "%s does not answer" % path if "hung" in got else str(got["error"])))
                continue
            for writer in request["names"]:
                if got["value"].get(writer) != nonces[writer, path]:
                    unseen.setdefault(path, []).append((host, writer))
    for path, pairs in unseen.items():
        writers = [host for host, of in nonces if of == path]
        found += _blame(path, pairs, writers[0], len(writers))
    return found


def _blame(path: str, pairs: Sequence[Tuple[str, str]], first: str, count: int) -> List[Problem]:
    """Name the odd ones out: those that do not agree with the first writer, or it when none of many does."""
    others = list(dict.fromkeys(host for pair in pairs for host in pair if host != first))
    if len(others) > 1 and len(others) == count - 1:
        return [problem("STORAGE_DIFFERS", first, "%s holds other files here than on the other nodes" % path)]
    return [problem("STORAGE_DIFFERS", host, "%s: what %s wrote is not there" % (path, first)) for host in others]


def is_below(path: str, base: str) -> bool:
    """Tell whether a path is a directory or something in it."""
    return path.rstrip("/") == base.rstrip("/") or path.startswith(base.rstrip("/") + "/")
