# SPDX-License-Identifier: Apache-2.0
"""
Keep git from running the filters of a repository, which it would do when it compares files.

Those of the user's own configuration, such as that of Git LFS, stay. Private to the collection.
"""

from __future__ import annotations

import os
import re
from typing import Iterator, List, Set

from ansible_collections.madctl.multinode.plugins.module_utils._sync import git

_NAME = re.compile(r"filter\.(.+)\.[a-z]+", re.DOTALL)
_GITLINK = b"160000 "
_MOST = 1000
_DEPTH, _MOST_BYTES = 16, 1 << 28


def turned_off(directory: bytes) -> List[str]:
    """
    Return the options of git that turn off all filters named by a repository or its submodules.

    Raises:
        GitError: If they cannot be determined.
    """
    names: Set[str] = set()
    for count, place in enumerate(_repositories(directory), 1):
        names.update(_named(place))
        if count > _MOST or len(names) > _MOST:
            raise git.GitError("more than %d submodules or filters" % _MOST)
    if any("=" in name or "\n" in name for name in names):
        raise git.GitError("the name of a filter is not supported")
    values = [
        "filter.%s.%s" % (name, value) for name in sorted(names) for value in ("clean=", "process=", "required=false")
    ]
    return [word for value in values for word in ("-c", value)]


def _named(directory: bytes) -> Iterator[str]:
    """Yield the filters that a repository itself configures, for all its work trees or this one."""
    for scope in ("--local", "--worktree"):
        words = ("config", scope, "--includes", "--null", "--name-only", "--get-regexp", r"^filter\.")
        try:
            found = git.output(directory, *words, good=(0, 1))
        except git.GitError:
            if scope == "--local":
                raise
            continue  # No work tree has its own configuration.
        for key in found.decode("utf-8", "surrogateescape").split("\0"):
            match = _NAME.fullmatch(key)
            if match:
                yield match.group(1)


def _repositories(directory: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield a directory, and those of all submodules of its repository, which git also compares."""
    yield directory
    if depth == _DEPTH:
        raise git.GitError("more than %d submodules in each other" % _DEPTH)
    top = git.output(directory, "rev-parse", "--show-toplevel").rstrip(b"\n")
    listed = git.output(top, "ls-files", "--stage", "-z", most=_MOST_BYTES)
    if len(listed) == _MOST_BYTES:
        raise git.GitError("the index is too large")
    for entry in listed.split(b"\0"):
        place = os.path.join(top, entry.partition(b"\t")[2])
        if entry.startswith(_GITLINK) and os.path.lexists(os.path.join(place, b".git")):
            yield from _repositories(place, depth + 1)
