# SPDX-License-Identifier: Apache-2.0
"""
Keep a tree of code on this node, by content: called by an agent, it requests only what is missing.

The protocol, in order; every number is eight hexadecimal digits:

    asked    the identity of the tree
    told     ``lacks``, unless it is here
    sent     the size of the manifest, and it
    told     ``missing``: the files, as ranges of the manifest, that no local tree has
    sent     pieces of these files, one after the other: ``r`` or, compressed, ``z``, the size, and that much
    told     ``taken``: how many pieces were written so far

A file needs no name, mode or size beside its bytes, as it would in an archive, because the manifest has them: so the
data that is sent contains nothing that could lead elsewhere. A tree is written under another name, compared with its
manifest and then renamed. Private to the collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import zlib
from typing import Any, Dict, Iterator, List

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.manifest import Entry
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._node import run_base, trees
from ansible_collections.madctl.multinode.plugins.module_utils._sync import receiving

# How many other trees, the newest first, are searched for files.
_OTHERS = 16
# A directory without a lock this long after its creation was left by a process that died.
_ABANDONED_SECONDS = 60.0
_SPARE_BYTES = 1 << 24


def store(request: Dict[str, Any], tell: receiving.Tell) -> Dict[str, Any]:
    """
    Make sure that a tree is on this node.

    Args:
        request: ``tree``, its identity; ``run_dir``, the base directory of runs or None; ``only_look``, whether nothing
            may be written.

    Returns:
        ``place``, the directory with the tree's files, or None if it may not be written.
    """
    base, tree = request["run_dir"] or run_directory.base(os.geteuid()), str(request["tree"])
    if not manifest.TREE.fullmatch(tree):
        raise OSError("this is not the identity of a tree: %a" % tree[:80])
    kept = trees.place(base, tree)
    entries = trees.entries_of(kept) if os.path.isdir(kept) else None
    if entries is not None and trees.is_intact(kept, entries):
        if not request["only_look"]:
            os.utime(kept)  # It is in use again, so gc must not count it as old.
        return _answer(kept)
    if request["only_look"]:
        return {"place": None}
    try:
        _fetch(run_base.own(base), tree, tell)
    except (OSError, EOFError, zlib.error, manifest.ManifestError) as error:
        return {"failed": True, "msg": reason(error, is_named=True)}
    return _answer(kept)


def _answer(kept: str) -> Dict[str, Any]:
    return {"place": os.path.join(kept, run_directory.FILES)}


def _fetch(base: str, tree: str, tell: receiving.Tell) -> None:
    """Have a tree sent, and put it in its place."""
    room = os.path.join(base, run_directory.TREES)
    os.makedirs(room, 0o700, exist_ok=True)
    _sweep(room)
    tell({"lacks": True})
    data = receiving.taken(receiving.size(manifest.MOST_TEXT))
    if manifest.identity(data) != tree:
        raise manifest.ManifestError("the manifest is that of another tree")
    entries = manifest.parsed(data)
    # Nodes may share the directory and have the same process ids.
    partial = os.path.join(room, "%s%s-%s" % (run_directory.GONE, os.urandom(8).hex(), tree[:16]))
    with _held(partial):
        _write(os.path.join(partial, run_directory.MANIFEST), data)
        _build(room, partial, entries, tell)
        trees.verify(partial, trees.looks(partial, entries))
        _put(partial, os.path.join(room, tree))


@contextlib.contextmanager
def _held(partial: str) -> Iterator[None]:
    """Make a directory that is locked while this process lives, and removed unless it was renamed."""
    os.mkdir(partial, 0o700)
    descriptor = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # Some network file systems do not lock directories: gc removes it on those.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        trees.erase(partial)
        os.close(descriptor)


def _sweep(room: str) -> None:
    """Remove the remains of storing processes that were killed: directories whose lock is free."""
    for name in os.listdir(room):
        path = os.path.join(room, name)
        if not name.startswith(run_directory.GONE):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(descriptor).st_mtime > _ABANDONED_SECONDS:
                    trees.erase(path)
            finally:
                os.close(descriptor)


def _put(partial: str, kept: str) -> None:
    """Rename a tree to its name; another run may have been faster, or a damaged tree may be in its place."""
    for _ in range(2):
        try:
            os.rename(partial, kept)
            return
        except OSError:
            own = trees.entries_of(kept)
            if own is not None and trees.is_intact(kept, own):
                return
            trees.erase(kept)
    raise OSError("%s cannot be replaced" % kept)


# -- the files ----------------------------------------------------------------------------------------


def _build(room: str, partial: str, entries: List[Entry], tell: receiving.Tell) -> None:
    """Write all files of a tree: those that are on this node already, then those that are sent."""
    files = os.fsencode(os.path.join(partial, run_directory.FILES))
    os.mkdir(files, 0o700)
    for entry in entries:
        path = os.path.join(files, entry.path)
        if entry.kind == manifest.DIRECTORY:
            os.mkdir(path, 0o700)
        elif entry.kind == manifest.LINK:
            os.symlink(entry.target, path)
    first: Dict[str, int] = {}
    for number, entry in enumerate(entries):
        if entry.kind == manifest.FILE:
            first.setdefault(entry.content, number)
    here = {entries[number].content: number for number in _reused(room, files, entries, first)}
    missing = [number for content, number in sorted(first.items(), key=lambda item: item[1]) if content not in here]
    _require_space(partial, entries, missing)
    tell({"missing": manifest.ranges(missing)})
    receiving.receive(files, [entries[number] for number in missing], tell)
    for number, entry in enumerate(entries):
        same = entries[first[entry.content]] if entry.kind == manifest.FILE else entry
        if same is not entry and first[entry.content] != number:
            trees.copy_file(
                os.path.join(files, same.path), os.path.join(files, entry.path), receiving.mode(entry), entry.size
            )
    for entry in reversed(entries):
        if entry.kind == manifest.DIRECTORY:
            os.chmod(os.path.join(files, entry.path), 0o555)  # noqa: S103  in a directory of its user's own
    os.chmod(files, 0o555)  # noqa: S103


def _reused(room: str, files: bytes, entries: List[Entry], wanted: Dict[str, int]) -> Iterator[int]:
    """Take files from other trees, verify them, and yield their numbers."""
    left = dict(wanted)
    for kept in _others(room):
        if not left:
            return
        source = os.fsencode(os.path.join(kept, run_directory.FILES))
        for own in trees.entries_of(kept) or []:
            number = left.get(own.content) if own.kind == manifest.FILE else None
            if number is None:
                continue
            entry = entries[number]
            target = os.path.join(files, entry.path)
            try:
                _take(os.path.join(source, own.path), target, entry, receiving.mode(own))
                if trees.digest(target) != entry.content:
                    raise OSError("%s was changed" % kept)
            except OSError:
                # If there is anything wrong with the local file, the file is sent.
                with contextlib.suppress(OSError):
                    os.unlink(target)
                continue
            del left[own.content]
            yield number


def _take(source: bytes, target: bytes, entry: Entry, mode: int) -> None:
    """Take a file from another tree: as a hard link, because neither is ever changed, unless its permissions differ."""
    if mode == receiving.mode(entry):
        with contextlib.suppress(OSError):
            os.link(source, target, follow_symlinks=False)
            return
    trees.copy_file(source, target, receiving.mode(entry), entry.size)


def _others(room: str) -> List[str]:
    paths = [os.path.join(room, name) for name in os.listdir(room) if manifest.TREE.fullmatch(name)]
    own = [path for path in paths if os.lstat(path).st_uid == os.geteuid()]
    return sorted(own, key=lambda path: os.lstat(path).st_mtime, reverse=True)[:_OTHERS]


def _require_space(partial: str, entries: List[Entry], missing: List[int]) -> None:
    """Refuse early if the files to send, and the run's copy unless it takes no space, would fill the disk."""
    needed = sum(entries[number].size for number in missing)
    if not _can_clone(partial):
        needed += sum(entry.size for entry in entries)
    status = os.statvfs(partial)
    free = status.f_bavail * status.f_frsize
    if needed and needed + _SPARE_BYTES > free:
        megabytes = (needed + _SPARE_BYTES) // 1000**2, free // 1000**2
        raise OSError("%s has too little space: the code needs %d MB, and %d MB are free" % ((partial,) + megabytes))


def _can_clone(partial: str) -> bool:
    source = os.open(os.path.join(partial, run_directory.MANIFEST), os.O_RDONLY | os.O_CLOEXEC)
    path = os.fsencode(os.path.join(partial, "clone"))
    writer = trees.create(path)
    try:
        return trees.clone(source, writer)
    finally:
        os.close(writer)
        os.close(source)
        os.unlink(path)


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
