# SPDX-License-Identifier: Apache-2.0
"""
List the files of a directory to send: what git would commit, including new files and submodules, or what no pattern
leaves out.

Directories are listed, too, so that empty ones arrive. Private to the collection.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Any, Dict, List, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain, reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._sync import git
from ansible_collections.madctl.multinode.plugins.module_utils._sync.ignoring import OF_GIT, OURS, Ignoring

_OF_REPOSITORY = b".git"
_NAMES = (OF_GIT, OURS)
_MOST_TOLD = 1 << 26
_EXCLUDE = ("--exclude-standard", "-z")


@dataclass
class Listing:
    """The entries below a directory, by path: the status of each, and what cannot be sent."""

    found: Dict[bytes, os.stat_result] = field(default_factory=dict)
    left_out: List[str] = field(default_factory=list)


def listed(root: bytes) -> Listing:
    """
    List a directory.

    Raises:
        Refused: If it cannot be read, or has too many entries.
    """
    listing = Listing()
    _Lister(root, listing).directory(b"")
    return listing


class _Lister:
    """Lists one directory, with the repositories in it."""

    def __init__(self, root: bytes, listing: Listing) -> None:
        self._root, self._listing = root, listing
        self._own = Ignoring(root, [OURS])

    def directory(self, prefix: bytes) -> None:
        """List a directory that is a work tree of its own, or none; its path below root ends with a slash."""
        place = os.path.join(self._root, prefix)
        try:
            if git.is_tree(place) and not _is_ignored(place):
                self._tree(prefix, place)
            else:
                # Without git, its repository is not part of the code either.
                self._walk(prefix, Ignoring(self._root, _NAMES), set())
        except git.GitError as error:
            remedy = "for another owner's repository: git config --global --add safe.directory PATH"
            message = "git cannot list %s: %s" % (plain(os.fsdecode(place)), error)
            raise Refused("SYNC_UNREADABLE", message, remedy) from error

    # -- a work tree of git -----------------------------------------------------------------------

    def _tree(self, prefix: bytes, place: bytes) -> None:
        names = set(_names(place, "ls-files", "--cached", "--others", *_EXCLUDE))
        ignored = _ignored(place, _names(place, "ls-files", "--others", "--ignored", "--directory", *_EXCLUDE))
        for name in sorted(names):
            path = prefix + name.rstrip(b"/")
            if not self._own.ignores(path, name.endswith(b"/")):
                self._add_parents(path)
                self._take(path)
        self._walk(prefix, self._own, {prefix + name for name in ignored}, only_directories=True)

    def _take(self, path: bytes) -> None:
        """Take what git names: a file, or a directory that is a separate repository."""
        try:
            status = os.lstat(os.path.join(self._root, path))
        except (FileNotFoundError, NotADirectoryError):
            return  # It is deleted, and the deletion not committed yet.
        self._add(path, status)
        if stat.S_ISDIR(status.st_mode) and self._is_tree(path):
            self.directory(path + b"/")
        elif stat.S_ISDIR(status.st_mode):  # A submodule that was not checked out, and whatever is in its place.
            self._walk(path + b"/", Ignoring(self._root, _NAMES), set())

    def _add_parents(self, path: bytes) -> None:
        parts = path.split(b"/")[:-1]
        for count in range(1, len(parts) + 1):
            parent = b"/".join(parts[:count])
            if parent not in self._listing.found:
                try:
                    status = os.lstat(os.path.join(self._root, parent))
                except OSError:
                    return
                if not stat.S_ISDIR(status.st_mode):
                    return
                self._add(parent, status)

    # -- any directory ----------------------------------------------------------------------------

    def _walk(self, prefix: bytes, ignoring: Ignoring, ignored: Set[bytes], only_directories: bool = False) -> None:
        """
        Add everything below a directory that is not ignored.

        Args:
            ignored: Paths with a slash at the end of a directory, as git lists them.
            only_directories: Whether git has listed the files.
        """
        waiting = [prefix]
        while waiting:
            directory = waiting.pop()
            for entry in self._scanned(directory):
                path = directory + entry.name
                is_directory = entry.is_dir(follow_symlinks=False)
                if entry.name == _OF_REPOSITORY or is_directory and path + b"/" in ignored:
                    continue
                if only_directories and self._is_listed(path, entry):
                    continue
                if ignoring.ignores(path, is_directory):
                    continue
                self._add(path, os.lstat(os.path.join(self._root, path)))
                if is_directory:
                    waiting.append(path + b"/")

    def _is_listed(self, path: bytes, entry: Any) -> bool:
        """Return whether git has listed something: files and links, and repositories, each for itself."""
        if entry.is_dir(follow_symlinks=False):
            return path in self._listing.found and self._is_tree(path)
        return bool(entry.is_symlink() or entry.is_file(follow_symlinks=False))

    def _is_tree(self, path: bytes) -> bool:
        """Return whether a directory is a repository, which was listed for itself."""
        return os.path.lexists(os.path.join(self._root, path, _OF_REPOSITORY))

    def _scanned(self, directory: bytes) -> List[Any]:
        place = os.path.join(self._root, directory)
        try:
            with os.scandir(place) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise Refused("SYNC_UNREADABLE", "%s: %s" % (plain(os.fsdecode(place)), reason(error))) from error

    def _add(self, path: bytes, status: os.stat_result) -> None:
        if path in self._listing.found:
            return
        mode = status.st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            self._listing.left_out.append(plain(os.fsdecode(path)))
            return
        if not manifest.is_path(path):
            message = "the path is too long: %s" % plain(os.fsdecode(path))[:200]
            raise Refused("SYNC_REFUSED", message, "leave it out: name it in %s" % OURS)
        if len(self._listing.found) >= manifest.MOST_ENTRIES:
            message = "%s has more than %d files" % (plain(os.fsdecode(self._root)), manifest.MOST_ENTRIES)
            raise Refused("SYNC_TOO_LARGE", message, "list what nodes do not need in %s" % OURS)
        self._listing.found[path] = status


def _ignored(place: bytes, names: List[bytes]) -> List[bytes]:
    """Return the directories that are ignored themselves: git also lists those with nothing but ignored files."""
    directories = [name for name in names if name.endswith(b"/")]
    return _names(place, "check-ignore", "-z", "--stdin", given=b"\0".join(directories)) if directories else []


def _names(place: bytes, *words: str, given: bytes = b"") -> List[bytes]:
    found = git.output(place, *words, most=_MOST_TOLD, given=given, good=(0, 1))
    if len(found) == _MOST_TOLD:
        message = "%s has more than %d files" % (plain(os.fsdecode(place)), manifest.MOST_ENTRIES)
        raise Refused("SYNC_TOO_LARGE", message, "list what nodes do not need in %s" % OF_GIT)
    return [name for name in found.split(b"\0") if name]


def _is_ignored(place: bytes) -> bool:
    """Return whether the repository around a directory ignores it, so that git lists nothing in it."""
    try:
        return bool(git.output(place, "check-ignore", ".", good=(0, 1)))
    except git.GitError:
        return False
