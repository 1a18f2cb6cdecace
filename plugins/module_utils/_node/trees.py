# SPDX-License-Identifier: Apache-2.0
"""
Directories of code on this node: the read-only ones that are kept by content, and the writable copy of one run.

A kept tree is ``BASE/sync/IDENTITY`` with ``manifest``, ``verified`` and ``files``. ``verified`` records the status of
the files when their content was last compared with the manifest, so that a later run compares only the status. After a
reboot, content is compared once more: files that a power failure left are not trusted, so nothing has to be flushed to
the disk. Private to the collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from typing import Any, FrozenSet, Iterator, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.manifest import Entry
from ansible_collections.madctl.multinode.plugins.module_utils._node import procfs, small_files

_CLONE = 0x40049409  # FICLONE of linux/fs.h
PIECE = 1 << 20
_VERIFIED_BYTES = 1 << 26


def place(base: str, tree: str) -> str:
    """Return the directory that keeps a tree."""
    return os.path.join(base, run_directory.TREES, tree)


def entries_of(kept: str) -> Optional[List[Entry]]:
    """Return what a kept tree should contain; None if its manifest is missing, or does not match its name."""
    with contextlib.suppress(OSError, manifest.ManifestError):
        data = small_files.read(os.path.join(kept, run_directory.MANIFEST), manifest.MOST_TEXT + 1)
        if manifest.identity(data) == os.path.basename(kept):
            return manifest.parsed(data)
    return None


# -- whether a tree is what it should be --------------------------------------------------------------


def is_intact(kept: str, entries: List[Entry]) -> bool:
    """Return whether a kept tree contains what its manifest lists, and record the status of its files."""
    if os.lstat(kept).st_uid != os.geteuid():
        raise OSError("%s belongs to another user; choose another --run-dir" % kept)
    files = os.fsencode(os.path.join(kept, run_directory.FILES))
    known = small_files.read_object(os.path.join(kept, run_directory.VERIFIED), _VERIFIED_BYTES) or {}
    looks = known.get("looks") if known.get("boot_id") == procfs.boot_id() else None
    if not isinstance(looks, list) or len(looks) != len(entries):
        looks = [None] * len(entries)
    found: List[Any] = []
    for entry, look in zip(entries, looks):
        path = os.path.join(files, entry.path)
        try:
            status = os.lstat(path)
            if not _is_kind(entry, status, path) or _look(status) != look and not _has_content(entry, path):
                return False
        except OSError:
            return False
        found.append(_look(status))
    if found != looks:
        verify(kept, found)
    return True


def verify(kept: str, looks: List[Any]) -> None:
    """Record the status of the files of a tree whose content is right."""
    path = os.path.join(kept, run_directory.VERIFIED)
    partial = "%s.%d" % (path, os.getpid())
    with open(partial, "w", encoding="utf-8") as stream:
        json.dump({"boot_id": procfs.boot_id(), "looks": looks}, stream)
    os.rename(partial, path)


def looks(kept: str, entries: List[Entry]) -> List[Any]:
    """Return the current status of the entries of a tree."""
    files = os.fsencode(os.path.join(kept, run_directory.FILES))
    return [_look(os.lstat(os.path.join(files, entry.path))) for entry in entries]


def _look(status: os.stat_result) -> Optional[List[int]]:
    """Return what changes whenever the content of a file does; a hard link from another tree changes none of it."""
    return [status.st_ino, status.st_size, status.st_mtime_ns] if stat.S_ISREG(status.st_mode) else None


def _is_kind(entry: Entry, status: os.stat_result, path: bytes) -> bool:
    if entry.kind == manifest.FILE:
        return stat.S_ISREG(status.st_mode) and status.st_size == entry.size
    if entry.kind == manifest.LINK:
        return stat.S_ISLNK(status.st_mode) and os.readlink(path) == entry.target
    return stat.S_ISDIR(status.st_mode)


def _has_content(entry: Entry, path: bytes) -> bool:
    return entry.kind != manifest.FILE or digest(path) == entry.content


def digest(path: bytes) -> str:
    """
    Return the SHA-256 of a regular file.

    Raises:
        OSError: If it is something else, or cannot be read.
    """
    found = hashlib.sha256()
    with os.fdopen(small_files.opened(os.fsdecode(path)), "rb", buffering=0) as stream:
        for piece in iter(lambda: stream.read(PIECE), b""):
            found.update(piece)
    return found.hexdigest()


# -- writing -------------------------------------------------------------------------------------------


def copy(kept: str, to: str) -> None:
    """
    Copy a kept tree into a directory that does not exist yet, in which the user may change everything.

    Raises:
        OSError: If the tree is damaged, or the copy cannot be written.
    """
    entries = entries_of(kept)
    if entries is None:
        raise OSError("%s is not what was stored there" % kept)
    files, target = os.fsencode(os.path.join(kept, run_directory.FILES)), os.fsencode(to)
    os.mkdir(target, 0o700)
    for entry in entries:
        path = os.path.join(target, entry.path)
        if entry.kind == manifest.DIRECTORY:
            os.mkdir(path, 0o700)
        elif entry.kind == manifest.LINK:
            os.symlink(entry.target, path)
        else:
            copy_file(os.path.join(files, entry.path), path, entry.mode | 0o600, entry.size)
    for entry in reversed(entries):
        if entry.kind == manifest.DIRECTORY:
            os.chmod(os.path.join(target, entry.path), entry.mode | 0o700)


def copy_file(source: bytes, target: bytes, mode: int, size: int) -> None:
    """
    Copy a file to a new one, as a clone if the file system supports that.

    Raises:
        OSError: If the source is not a file of that size.
    """
    reader = small_files.opened(os.fsdecode(source))
    try:
        writer = create(target)
        try:
            if not clone(reader, writer):
                offset = 0
                while offset < size:
                    # If the file system is full, this ends with an error.
                    count = os.sendfile(writer, reader, offset, size - offset)
                    if not count:
                        break
                    offset += count
            if os.fstat(writer).st_size != size or os.fstat(reader).st_size != size:
                raise OSError("%s has changed" % os.fsdecode(source))
            os.fchmod(writer, mode)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def create(path: bytes) -> int:
    """Create a file at a path that does not exist yet."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def clone(reader: int, writer: int) -> bool:
    """Make a file share the blocks of another until either is written; return whether the file system supports that."""
    try:
        fcntl.ioctl(writer, _CLONE, reader)
    except OSError:
        return False
    return True


def erase(path: str) -> None:
    """Remove a directory with everything in it, even if permissions of its directories forbid that to their owner."""
    waiting = [path]
    while waiting:
        found = waiting.pop()
        with contextlib.suppress(OSError):
            os.chmod(found, 0o700)
            with os.scandir(found) as below:
                waiting += [entry.path for entry in below if entry.is_dir(follow_symlinks=False)]
    shutil.rmtree(path, ignore_errors=True)


# -- a copy for a while --------------------------------------------------------------------------------


def around(path: str) -> Optional[str]:
    """Return the directory of files of the kept tree that contains a path; None if none does."""
    while path != os.path.dirname(path):
        above = os.path.dirname(path)
        room = os.path.basename(os.path.dirname(above))
        is_kept = manifest.TREE.fullmatch(os.path.basename(above)) is not None and room == run_directory.TREES
        if is_kept and os.path.basename(path) == run_directory.FILES:
            return path
        path = above
    return None


@contextlib.contextmanager
def lent(files: str) -> Iterator[str]:
    """
    Lend a writable copy of the files of a kept tree.

    Raises:
        OSError: If it cannot be written.
    """
    kept = os.path.dirname(files)
    # The name is one that gc removes, in case this process is killed.
    place = tempfile.mkdtemp(prefix=run_directory.GONE, dir=os.path.realpath(os.path.dirname(kept)))
    try:
        own = os.path.join(place, run_directory.FILES)
        copy(kept, own)
        yield own
    finally:
        erase(place)


# -- what a run has changed ----------------------------------------------------------------------------


def unchanged(run_dir: str) -> FrozenSet[bytes]:
    """Return the files of a run's copy that are still as they were sent, by their paths below the run's directory."""
    entries = entries_of(os.path.realpath(os.path.join(run_dir, run_directory.TREE)))
    found = set()
    base, prefix = os.fsencode(run_dir), os.fsencode(run_directory.CODE)
    for entry in entries or []:
        path = os.path.join(prefix, entry.path)
        with contextlib.suppress(OSError):
            status = os.lstat(os.path.join(base, path))
            is_same = entry.kind == manifest.FILE and _is_kind(entry, status, path)
            if is_same and digest(os.path.join(base, path)) == entry.content:
                found.add(path)
    return frozenset(found)
