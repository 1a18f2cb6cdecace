# SPDX-License-Identifier: Apache-2.0
"""Find which commit a directory of code is at, and its changes since then. Private to the collection."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from typing import Optional

from ansible_collections.madctl.multinode.plugins.module_utils._sync import filters, git

DIFF_BYTES = 1000**2
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_BRANCH_CHARACTERS = 200
_CUT = b"\n(longer than %d bytes: the rest was left out)\n" % DIFF_BYTES


@dataclass(frozen=True)
class Commit:
    """The commit and the branch of a work tree, None if there is none yet, and the difference to the commit."""

    commit: Optional[str]
    branch: Optional[str]
    diff: bytes

    @property
    def is_dirty(self) -> bool:
        """Whether there are changes since the commit."""
        return bool(self.diff)


def of(directory: bytes) -> Optional[Commit]:
    """Return the commit of a directory; None if it is not in a git work tree, or git cannot tell."""
    try:
        if not git.is_tree(directory):
            return None
        return Commit(_commit(directory), _branch(directory), _diff(directory))
    except git.GitError:
        return None


def _commit(directory: bytes) -> Optional[str]:
    try:
        found = git.output(directory, "rev-parse", "--verify", "HEAD^{commit}").decode("ascii", "replace").strip()
    except git.GitError:
        return None
    return found if _COMMIT.fullmatch(found) else None


def _branch(directory: bytes) -> Optional[str]:
    try:
        found = git.output(directory, "symbolic-ref", "--short", "HEAD").decode("utf-8", "replace").strip()
    except git.GitError:
        return None
    return found[:_BRANCH_CHARACTERS] or None


def _diff(directory: bytes) -> bytes:
    """Return the difference of files below a directory, including new ones, to the commit."""
    # New files are part of a difference only if an index has them; the user's own index stays unchanged.
    index = git.output(directory, "rev-parse", "--git-path", "index").strip()
    with tempfile.TemporaryDirectory(prefix="madctl-index-") as place:
        own = os.path.join(place, "index")
        source = os.path.join(directory, index)
        if os.path.exists(source):
            # With its time: git assumes that a file of the same size that is not newer than the index may have changed.
            shutil.copy2(os.fsdecode(source), own)
        more = {"GIT_INDEX_FILE": own, "GIT_OPTIONAL_LOCKS": "1"}
        off = filters.turned_off(directory)
        git.output(directory, *off, "add", "--intent-to-add", "--", ".", more=more)
        words = (*off, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--submodule=diff", "--relative")
        empty = ("hash-object", "-t", "tree", "--stdin")
        base = _commit(directory) or git.output(directory, *empty).decode("ascii").strip()
        found = git.output(directory, *words, base, "--", ".", most=DIFF_BYTES + 1, more=more)
    return found if len(found) <= DIFF_BYTES else found[: DIFF_BYTES - len(_CUT)] + _CUT
