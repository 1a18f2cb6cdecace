# SPDX-License-Identifier: Apache-2.0
"""
Inspect shared storage on one node: what is mounted, and files that other nodes must see.

The functions here may hang; ``deadlines`` calls them. Only the proof's own files are ever created, even in a directory
that is local to the node, because others may see it, too. Private to the collection.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import filesystems
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._node import small_files

PREFIX = ".madctl-proof-"
# Longer than the time between probe and proof; after this, the file is removed, whatever happened to the launch.
JANITOR_SECONDS = 120.0
RELEASE_SECONDS = 3.0
_LISTED = 200


def entry(path: str, mountinfo: Optional[str] = None) -> Dict[str, Any]:
    """
    Find the mount that holds a path, from mountinfo alone, without access to the mount.

    Returns:
        ``point``, ``fstype``, ``source``, ``root`` (the directory of the source that is mounted there), ``options``
        of the mount and of the file system (lists).
    """
    mounts = _mounts(mountinfo)
    numbers = {mount["number"] for mount in mounts}
    tops = [mount for mount in mounts if mount["parent"] not in numbers or mount["parent"] == mount["number"]]
    seen: Set[int] = set()
    here: Dict[str, Any] = {}
    # As the kernel does it: from the root, at each step to the nearest mount below, regardless of their age.
    while tops:
        inside = [mount for mount in tops if filesystems.is_below(path, mount["point"]) and mount["number"] not in seen]
        if not inside:
            break
        nearest = min(len(mount["point"]) for mount in inside)
        here = [mount for mount in inside if len(mount["point"]) == nearest][-1]
        seen.add(here["number"])
        tops = [mount for mount in mounts if mount["parent"] == here["number"]]
    return {name: value for name, value in here.items() if name not in ("number", "parent")}


def points() -> List[str]:
    """Return all mount points."""
    return [mount["point"] for mount in _mounts()]


def _mounts(mountinfo: Optional[str] = None) -> List[Dict[str, Any]]:
    if mountinfo is None:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
            mountinfo = stream.read()
    return [found for found in map(_parsed, mountinfo.split("\n")) if found]


def _parsed(line: str) -> Optional[Dict[str, Any]]:
    """Parse one line of mountinfo; None if it is invalid."""
    left, _, right = line.partition(" - ")
    fields, kind = left.split(), right.split()
    if len(fields) < 6 or not kind or not re.fullmatch("[0-9]{1,9} [0-9]{1,9}", " ".join(fields[:2])):
        return None
    return {
        "number": int(fields[0]),
        "parent": int(fields[1]),
        "point": _unescape(fields[4]),
        "root": _unescape(fields[3]),
        "fstype": kind[0],
        "source": _unescape(kind[1]) if len(kind) > 2 else "",
        "options": fields[5].split(","),
        "super_options": kind[-1].split(","),
    }


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), text)


def look(path: str, read_only: bool, write: bool) -> Dict[str, Any]:
    """
    Inspect a path, and write the proof's file in it.

    Args:
        read_only: Whether to digest the directory instead of writing.
        write: Whether a proof follows at all.

    Returns:
        ``entry`` of the path, ``exists``, and of the proof ``file``, ``nonce`` and ``janitor`` (process id),
        or ``write_error``; ``mark``, a digest of the directory.
    """
    try:
        os.stat(path)  # This makes autofs mount it.
    except FileNotFoundError:
        return dict(entry(os.path.normpath(path)), exists=False)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0)
        return dict(entry(os.path.normpath(path)), exists=True, access_error=reason(error), access_errno=name)
    real = os.path.realpath(path)
    found = dict(entry(real), exists=os.path.isdir(real), real=real)
    if not found["exists"] or not write:
        return found
    if read_only:
        return dict(found, mark=_mark(real))
    return dict(found, **_write(real))


def _mark(path: str) -> Optional[str]:
    """Digest a directory without writing: its inode and the first names with their inodes and times; None if empty."""
    import hashlib  # A slow import that most nodes never need.

    names = sorted(os.listdir(path))[:_LISTED]
    if not names:
        return None  # Empty file systems all look alike.
    digest = hashlib.sha256(str(os.stat(path).st_ino).encode())
    for name in names:
        if not name.startswith(PREFIX):
            status = os.lstat(os.path.join(path, name))
            digest.update(("%s %d %d\n" % (name, status.st_ino, status.st_mtime_ns)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _write(path: str) -> Dict[str, Any]:
    name, nonce = PREFIX + os.urandom(8).hex(), os.urandom(16).hex()
    full = os.path.join(path, name)
    janitor, word = _start_janitor(full)
    try:
        descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.write(descriptor, nonce.encode())
            _sync(descriptor)
        finally:
            os.close(descriptor)
        os.write(word, b"w")
    except OSError as error:
        os.close(word)
        release([{"janitor": janitor}])
        return {"write_error": reason(error)}
    return {"file": name, "nonce": nonce, "janitor": janitor}


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        # A file system without fsync shows what was written once the file is closed.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _start_janitor(path: str) -> Tuple[int, int]:
    """
    Start a process that removes the file if no other process does: a login node may die at any time.

    Returns:
        Its process id, and a pipe that takes one byte once the file is written. A pipe that closes without it means
        that the writer hung and was ended: then the janitor removes the file at once.
    """
    ready, begun = os.pipe()
    word, words = os.pipe()
    pid = os.fork()
    if pid:
        os.close(begun)
        os.read(ready, 1)  # Ends once the janitor can be signalled.
        os.close(ready)
        os.close(word)
        return pid, words
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(word, 0)
        for descriptor in (1, 2):
            os.dup2(null, descriptor)
        os.closerange(3, 256)
        os.chdir("/")
        if os.read(0, 1):
            signal.sigtimedwait({signal.SIGTERM}, JANITOR_SECONDS)
        small_files.remove(path)
    finally:
        os._exit(0)


def release(files: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """
    Have the janitors remove this node's files, so that the caller does not hang on a mount; wait for a bounded time.

    Args:
        files: The files that this node wrote, each with the process id of its ``janitor``.

    Returns:
        ``left``: janitors that are still running.
    """
    janitors = [entry["janitor"] for entry in files if _is_janitor(entry["janitor"])]
    for pid in janitors:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + RELEASE_SECONDS
    while any(map(_is_janitor, janitors)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return {"left": list(filter(_is_janitor, janitors))}


def _is_janitor(pid: int) -> bool:
    """Return whether a process is a session leader that runs Python, so that no other process is ended."""
    try:
        return os.getsid(pid) == pid and "python" in os.readlink("/proc/%d/exe" % pid)
    except OSError:
        return False


def read(path: str, names: Dict[str, str], seconds: float) -> Dict[str, Optional[str]]:
    """
    Read the files that other nodes wrote.

    Args:
        names: File name by node.
        seconds: How long a file may take to appear, because file systems cache differently.

    Returns:
        Content by node, None if the file does not exist.
    """
    found: Dict[str, Optional[str]] = {}
    deadline = time.monotonic() + seconds
    for host, name in names.items():
        while True:
            try:
                with open(os.path.join(path, name), encoding="ascii", errors="replace") as stream:
                    found[host] = stream.read(64)
                break
            except OSError as error:
                found[host] = None
                if time.monotonic() > deadline or not isinstance(error, FileNotFoundError):
                    break
                time.sleep(0.1)
    return found
