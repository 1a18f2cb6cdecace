# SPDX-License-Identifier: Apache-2.0
"""
Read a directory of this machine as a tree of code: its entries, with the hash of every file.

Private to the collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from typing import Dict, List, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.manifest import Entry
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import count, plain, reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._sync import listing
from ansible_collections.madctl.multinode.plugins.module_utils._sync.ignoring import OURS

_PIECE = 1 << 20
_NAMED, _WORTH_NAMING = 5, 1000**2  # of the largest, bytes
# If one entry makes up almost all of a directory, it is named instead.
_NEARLY_ALL = 0.8
_KERNEL = ("/dev", "/proc", "/sys")


@dataclass(frozen=True)
class Tree:
    """A directory as it was read: ``data`` is its manifest; ``looks`` the status of its files, by number."""

    root: bytes
    entries: List[Entry]
    looks: List[Tuple[int, ...]]
    data: bytes
    left_out: List[str]

    @property
    def identity(self) -> str:
        """The name of its content."""
        return manifest.identity(self.data)

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return sum(entry.size for entry in self.entries)

    def has(self, path: str) -> bool:
        """Return whether a path, with or without ``.`` and ``..``, is a file, a directory or a link in the tree."""
        wanted = os.path.normpath(os.fsencode(path))
        # The target of a link is unknown here.
        found = {entry.path: entry.kind for entry in self.entries}
        parts = wanted.split(b"/")
        heads = (b"/".join(parts[:end]) for end in range(1, len(parts)))
        return wanted in found or wanted == b"." or any(found.get(head) == manifest.LINK for head in heads)


def read(directory: str) -> Tree:
    """
    Read a directory.

    Raises:
        Refused: If its content must not be sent, is too large, or changes in the meantime.
    """
    root = _root(directory)
    found = listing.listed(root)
    _require_size(root, found.found)
    entries, looks = [], []
    for path, status in sorted(found.found.items()):
        entry, look = _entry(root, path, status)
        entries.append(entry)
        looks.append(look)
    data = manifest.written(entries)
    if len(data) > manifest.MOST_TEXT:
        message = "the names of the files in %s are too long together" % plain(directory)
        raise Refused("SYNC_TOO_LARGE", message, "list what nodes do not need in %s" % OURS)
    return Tree(root, entries, looks, data, sorted(found.left_out))


# -- what is refused ---------------------------------------------------------------------------------


def _root(directory: str) -> bytes:
    """Return the path of a directory without links, unless it cannot be intended."""
    path = os.path.realpath(directory)
    if not os.path.isdir(path):
        what = "is not a directory" if os.path.lexists(directory) else "does not exist"
        raise Refused("SYNC_REFUSED", "the directory to sync %s: %s" % (what, plain(directory)))
    why = _reason(path)
    if why:
        message = "%s is not synced: %s" % (plain(directory), why)
        raise Refused("SYNC_REFUSED", message, "name the directory of your code")
    return os.fsencode(path)


def _reason(path: str) -> str:
    """Return why a directory is not one of code; empty if it may be."""
    if path == "/":
        return "it is the whole file system"
    if any(path == place or path.startswith(place + "/") for place in _KERNEL):
        return "its files are the kernel's"
    homes = _homes()
    if path in homes:
        return "it is a home directory, with keys and more that nodes must not get"
    below = sorted(home for home in homes if home.startswith(path + "/"))
    return "the home directory %s is in it" % plain(below[0]) if below else ""


def _homes() -> Set[str]:
    """Return the home directories of people on this machine."""
    found = {os.path.expanduser("~")}
    with contextlib.suppress(OSError):
        found |= {entry.pw_dir for entry in pwd.getpwall() if entry.pw_uid >= 1000 or entry.pw_uid in (0, os.geteuid())}
    # Accounts without a home have one whose name shows that.
    real = {os.path.realpath(path) for path in found if path.startswith("/")}
    return {path for path in real if path != "/" and os.path.isdir(path)}


def _require_size(root: bytes, found: Dict[bytes, os.stat_result]) -> None:
    files = {path: status.st_size for path, status in found.items() if stat.S_ISREG(status.st_mode)}
    size = sum(files.values())
    if size > manifest.MOST_BYTES:
        most = [(path, own) for path, own in largest(files) if own >= _WORTH_NAMING]
        named = ", ".join("%s (%s)" % (plain(os.fsdecode(path)), _megabytes(own)) for path, own in most)
        message = "%s holds %s in %s, more than %s; the largest: %s"
        place, bound = plain(os.fsdecode(root)), _megabytes(manifest.MOST_BYTES)
        told = message % (place, _megabytes(size), count(len(files), "file"), bound, named)
        raise Refused("SYNC_TOO_LARGE", told, "list what nodes do not need in %s" % OURS)


def _megabytes(size: int) -> str:
    return "%d MB" % round(size / 1000**2)


def largest(files: Dict[bytes, int]) -> List[Tuple[bytes, int]]:
    """
    Return the largest files and directories, none within another; a directory that is mostly one entry is replaced by
    it.
    """
    below: Dict[bytes, Dict[bytes, int]] = {}
    for path, size in files.items():
        parts = path.split(b"/")
        for depth in range(len(parts)):
            own = below.setdefault(b"/".join(parts[:depth]), {})
            name = b"/".join(parts[: depth + 1])
            own[name] = own.get(name, 0) + size

    def named(path: bytes, size: int) -> Tuple[bytes, int]:
        while path in below:
            most = max(below[path], key=lambda name: below[path][name])
            if below[path][most] < _NEARLY_ALL * size:
                break
            path, size = most, below[path][most]
        return path, size

    top = sorted(below.get(b"", {}).items(), key=lambda item: -item[1])[:_NAMED]
    return sorted((named(path, size) for path, size in top), key=lambda item: -item[1])


# -- files -------------------------------------------------------------------------------------------


def _entry(root: bytes, path: bytes, status: os.stat_result) -> Tuple[Entry, Tuple[int, ...]]:
    place, mode = os.path.join(root, path), stat.S_IMODE(status.st_mode) & 0o777
    try:
        if stat.S_ISLNK(status.st_mode):
            return Entry(path, manifest.LINK, content=manifest.text_of(os.readlink(place))), ()
        if stat.S_ISDIR(status.st_mode):
            return Entry(path, manifest.DIRECTORY, mode), ()
        descriptor = opened(root, path, look(status))
        digest = hashlib.sha256()
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            for piece in iter(lambda: stream.read(_PIECE), b""):
                digest.update(piece)
            require_same(root, path, stream.fileno(), look(status))
    except OSError as error:
        raise unreadable(root, path, error) from error
    return Entry(path, manifest.FILE, mode, status.st_size, digest.hexdigest()), look(status)


def look(status: os.stat_result) -> Tuple[int, ...]:
    """Return the status that changes whenever a file does."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def opened(root: bytes, path: bytes, known: Tuple[int, ...]) -> int:
    """
    Open a file that must be unchanged.

    Raises:
        Refused: If it has changed, or is gone.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(os.path.join(root, path), flags)
    except OSError as error:
        raise unreadable(root, path, error) from error
    try:
        require_same(root, path, descriptor, known)
    except Refused:
        os.close(descriptor)
        raise
    return descriptor


def require_same(root: bytes, path: bytes, descriptor: int, known: Tuple[int, ...]) -> None:
    """
    Verify that an open file is unchanged.

    Raises:
        Refused: If it has changed.
    """
    if look(os.fstat(descriptor)) != known:
        raise changed(root, path)


def changed(root: bytes, path: bytes) -> Refused:
    """Return the refusal of a file that changed while it was read."""
    name = plain(os.fsdecode(os.path.join(root, path)))
    return Refused("SYNC_CHANGED", "%s changed while it was read" % name, "launch again when nothing writes there")


def unreadable(root: bytes, path: bytes, error: OSError) -> Refused:
    """Return the refusal of a file that cannot be read, or is gone."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return changed(root, path)
    name = plain(os.fsdecode(os.path.join(root, path)))
    return Refused("SYNC_UNREADABLE", "%s: %s" % (name, reason(error)), "make it readable, or name it in %s" % OURS)
