# SPDX-License-Identifier: Apache-2.0
"""
Find paths that are not on storage shared by all nodes: by their mounts first, then by what nodes read from each other.

Pure; private to the collection.
"""

from __future__ import annotations

from typing import Any, Container, Dict, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import filesystems
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts, Mount, Nodes
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Proof, Reading, Written
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices
from ansible_collections.madctl.multinode.plugins.module_utils._plan.comparison import odd_ones, usual

Mounts = Sequence[Tuple[str, Mount]]
Pairs = Sequence[Tuple[str, str]]


def judge(case: Case, _: Choices) -> List[Problem]:
    """Judge the mounts; with spares, a node that may be the others' file server is replaced instead."""
    return judge_mounts(case.nodes, case.request.shared_fstypes, not case.has_spares)


def judge_mounts(nodes: Nodes, more_types: Sequence[str] = (), proof_follows: bool = True) -> List[Problem]:
    """
    Judge the mounts of every node, as far as facts show.

    Args:
        nodes: Names and facts, in rank order; ``mounts`` of each has one entry per shared path.
        more_types: Types of file systems that also count as shared.
        proof_follows: Whether a node's local directory may be the one that the others see, which only the proof shows.
    """
    found: List[Problem] = []
    for mounts in _by_path(nodes):
        own = _own(mounts, more_types)
        if _is_untried(mounts, own):
            found.append(_untried(mounts))
            continue
        hopeful = _hopeful(mounts, own) if proof_follows else {}
        wrong = [
            entry for host, mount in mounts for entry in _wrong(host, mount, None if host in hopeful else own.get(host))
        ]
        bad = {entry["host"] for entry in wrong}
        # A file server, or a bind mount, names a disk of the machine, which cannot be compared.
        found += wrong + _compare([(host, mount) for host, mount in mounts if host not in bad and host not in hopeful])
    return found


def _by_path(nodes: Nodes) -> List[Mounts]:
    """Return every node's mount of each shared path, in rank order."""
    paths: Iterable[Tuple[Mount, ...]] = zip(*(facts["mounts"] for _, facts in nodes))
    return [[(host, mount) for (host, _), mount in zip(nodes, mounts)] for mounts in paths]


def _own(mounts: Mounts, more_types: Sequence[str]) -> Dict[str, Problem]:
    """Return nodes with a path on a local file system, each with the problem that it has unless the proof succeeds."""
    return {
        host: _not_shared(host, mount)
        for host, mount in mounts
        if mount.get("exists") and filesystems.is_local(mount.get("fstype"), more_types)
    }


def _not_shared(host: str, mount: Mount) -> Problem:
    path = mount["path"]
    remedy = "mount it there, or --shared-fstype %s if that is shared; madctl never creates it" % mount.get("fstype")
    if mount.get("real") and mount.get("point") == mount["real"] and mount["root"] != "/":
        text = "%s is not network storage: %s of this machine is bound there" % (path, mount["root"])
        return problem("MOUNT_IS_BIND", host, text, remedy)
    return problem("MOUNT_NOT_SHARED", host, "%s is not shared: it is on %s" % (path, _where(mount)), remedy)


def is_mixed(nodes: Nodes, more_types: Sequence[str] = ()) -> bool:
    """Return whether a path is on a local file system on some nodes and on a shared one on others."""
    return any(0 < len(_own(mounts, more_types)) < len(mounts) for mounts in _by_path(nodes))


def _is_untried(mounts: Mounts, own: Dict[str, Problem]) -> bool:
    """Return whether a proof could show what types do not: all directories are local, and no node was to write."""
    return len(own) == len(mounts) > 1 and not any(
        mount["read_only"] or mount.get("proven") or "file" in mount or "write_error" in mount for _, mount in mounts
    )


def _untried(mounts: Mounts) -> Problem:
    path, types = mounts[0][1]["path"], sorted({str(mount.get("fstype")) for _, mount in mounts})
    text = "%s is on %s on every node; whether they share it is proven only when files may be written"
    return problem("STORAGE_UNTRIED", None, text % (path, " and ".join(types)))


def _hopeful(mounts: Mounts, own: Dict[str, Problem]) -> Dict[str, Problem]:
    """
    Keep nodes whose local directory may be the one that others see: on a file server, or on one machine by bind mounts.

    They read what the others wrote; read-only paths are compared immediately.
    """
    most = usual([mount["mark"] for host, mount in mounts if host not in own and mount.get("mark")])
    writers = {host for host, mount in mounts if mount.get("file")}
    return {
        host: own[host]
        for host, mount in mounts
        if host in own
        and not mount.get("access_error")
        and (
            mount.get("proven")  # before a restart
            or (mount["mark"] == most if mount.get("mark") else bool(writers - {host}))
        )
    }


def _wrong(host: str, mount: Mount, own: Optional[Problem]) -> List[Problem]:
    """Return the problem of one mount, in a list of at most one; ``own`` is the problem of a local one."""
    fault = _unreadable(mount)
    if fault is None and own:
        return [own]
    fault = fault or _unwritable(mount)
    return [problem(fault[0], host, fault[1])] if fault else []


def _where(mount: Mount) -> str:
    return "%s (%s) at %s" % (mount.get("source"), mount.get("fstype"), mount.get("point"))


def _unreadable(mount: Mount) -> Optional[Tuple[str, str]]:
    path = mount["path"]
    if mount["hung"]:
        stuck = mount["hung"]
        waits = ", process %d is stuck in %s" % (stuck["pid"], stuck["wait"] or "the kernel") if stuck["state"] else ""
        return "MOUNT_HUNG", "%s on %s does not answer%s" % (path, _where(mount), waits)
    if mount["error"] or mount.get("access_error"):
        code = "MOUNT_STALE" if mount.get("access_errno") == "ESTALE" else "MOUNT_UNREADABLE"
        return code, "%s: %s" % (path, mount["error"] or mount["access_error"])
    return None if mount["exists"] else ("MOUNT_MISSING", "%s does not exist" % path)


def _unwritable(mount: Mount) -> Optional[Tuple[str, str]]:
    path, error = mount["path"], mount.get("write_error")
    if mount["read_only"]:
        return None
    if "ro" in mount["options"] or "ro" in mount["super_options"]:
        return "MOUNT_READ_ONLY", "%s is mounted read-only: %s" % (path, _where(mount))
    if error:
        code = "MOUNT_READ_ONLY" if error == "read-only file system" else "MOUNT_UNWRITABLE"
        return code, "%s is not writable: %s" % (path, error)
    return None


def _compare(mounts: Mounts) -> List[Problem]:
    """Compare mounts or, for a read-only path, their contents."""
    path = mounts[0][1]["path"] if mounts else ""
    if any(mount.get("mark") for _, mount in mounts):
        others = odd_ones(mounts, lambda mount: mount.get("mark") or "")
        message = "%s holds different files than on most nodes" % path
        return [problem("STORAGE_DIFFERS", host, message) for host, _, _ in others]
    sources = odd_ones(mounts, lambda mount: mount["source"] + mount["root"].rstrip("/"))
    types = odd_ones(mounts, lambda mount: mount["fstype"])
    return [
        problem(code, host, "%s is %s here, %s on most nodes" % (path, value, most))
        for code, others in (("EXPORT_DIFFERS", sources), ("STORAGE_TYPE_DIFFERS", types))
        for host, value, most in others
    ]


# -- the proof ----------------------------------------------------------------------------------


def reading(nodes: Nodes, more_types: Sequence[str] = ()) -> Dict[str, List[Reading]]:
    """
    Return what every node has to read: all read the first writer's file, and the first writer reads the files of all
    others.

    Returns:
        By host a list of ``path`` and ``names`` (file name by the host that wrote it); ``otherwise`` is the problem of
        a node whose directory is local, unless files are visible in both directions.
    """
    wanted: Dict[str, List[Reading]] = {host: [] for host, _ in nodes}
    for mounts in _by_path(nodes):
        files = {host: mount["file"] for host, mount in mounts if "file" in mount and mount["file"]}
        own = _own(mounts, more_types)
        hopeful = _hopeful(mounts, own) if files else {}
        readers = list(dict.fromkeys((*files, *hopeful)))
        if len(readers) < 2:
            continue
        first = _first(files, own)
        for host in readers:
            names = {first: files[first]} if host != first else {h: n for h, n in files.items() if h != first}
            if names:
                wanted[host].append({"path": mounts[0][1]["path"], "names": names})
                if host in hopeful:
                    wanted[host][-1]["otherwise"] = hopeful[host]
    return wanted


def _first(writers: Iterable[str], own: Container[str]) -> str:
    """Return the node whose files are the reference: the first whose directory is not local, if there is one."""
    return min(writers, key=lambda host: host in own)


def written(facts: Facts) -> List[Written]:
    """Return the files that a node wrote for the proof."""
    return [
        {"path": mount["path"], "file": mount["file"], "janitor": mount["janitor"], "nonce": mount["nonce"]}
        for mount in facts["mounts"]
        if "file" in mount and mount["file"]
    ]


def proven(nodes: Nodes) -> Optional[str]:
    """Return the first path that all of several nodes could write to, where they announce failures."""
    shared = (mounts for mounts in _by_path(nodes) if len(nodes) > 1 and all(mount.get("file") for _, mount in mounts))
    return next((mounts[0][1]["path"] for mounts in shared), None)


def judge_reading(proof: Dict[str, Proof], answers: Dict[str, List[Dict[str, Any]]]) -> List[Problem]:
    """
    Judge what nodes read from each other.

    Args:
        proof: By host what it has ``written`` and what it had to ``read``, in rank order.
        answers: By host what it read, in the same order; hosts without an answer are left out.
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
            missed = [writer for writer in request["names"] if got["value"].get(writer) != nonces[writer, path]]
            unseen.setdefault(path, []).extend((host, writer) for writer in missed)
    for path, pairs in ((path, pairs) for path, pairs in unseen.items() if pairs):
        own = {
            host: request["otherwise"]
            for host, wanted in proof.items()
            for request in wanted["read"]
            if request["path"] == path and "otherwise" in request
        }
        found += _blame(path, pairs, [host for host, of in nonces if of == path], own)
    return found


def _blame(path: str, pairs: Pairs, writers: Sequence[str], own: Dict[str, Problem]) -> List[Problem]:
    """
    Blame nodes with a local directory that the first writer does not see, then the odd ones of all others.

    Args:
        pairs: Which node did not see whose file.
        own: The problem of local directories, by host, unless the proof shows that they are shared.
    """
    first = _first(writers, own)
    others = _others(pairs, first)
    # The first writer is the reference, unless no other node agrees with it.
    local = [host for host in own if host in others or (host == first and set(writers) - {first} <= set(others))]
    rest = [pair for pair in pairs if not set(pair) & set(local)]
    return [own[host] for host in local] + _odd(path, rest, first, len(set(writers) - set(local)))


def _others(pairs: Pairs, first: str) -> List[str]:
    return list(dict.fromkeys(host for pair in pairs for host in pair if host != first))


def _odd(path: str, pairs: Pairs, first: str, count: int) -> List[Problem]:
    """Blame the odd ones out: those that disagree with the first writer, or the first if none of many agrees."""
    others = _others(pairs, first)
    if len(others) > 1 and len(others) == count - 1:
        return [problem("STORAGE_DIFFERS", first, "%s holds different files than on the other nodes" % path)]
    return [
        problem("STORAGE_DIFFERS", host, "%s: the file that %s wrote is missing" % (path, first)) for host in others
    ]
