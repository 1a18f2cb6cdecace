# SPDX-License-Identifier: Apache-2.0
"""
Give a run its own copy of the code on this node. Private to the collection.

A restart takes over the previous attempt's copy: a checkpoint that the job wrote to a relative path must still exist
when the job restarts. A node that replaces another one has no such copy, and gets a fresh one.
"""

from __future__ import annotations

import glob
import os
import re
from typing import List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import trees


class Code:
    """The copy of one attempt of a run."""

    def __init__(self, run_dir: str, origin: str, tree: Optional[str], trees_base: Optional[str] = None) -> None:
        """
        Prepare.

        Args:
            origin: The id of the first attempt.
            tree: The tree that was sent; None if none was.
            trees_base: The directory that holds it, if not beside the runs.
        """
        self._run_dir, self._origin, self._tree, self._trees_base = run_dir, origin, tree, trees_base
        self._own = os.path.join(run_dir, run_directory.CODE)
        self._before: Optional[str] = None

    def place(self) -> None:
        """
        Make the copy, or take over the previous attempt's.

        Raises:
            OSError: If that fails: the tree is incomplete, or the disk is full.
        """
        if self._tree is None:
            return
        base = os.path.dirname(self._run_dir)
        kept = trees.place(self._trees_base or base, self._tree)
        shown = kept if self._trees_base else os.path.join("..", os.path.relpath(kept, base))
        os.symlink(shown, os.path.join(self._run_dir, run_directory.TREE))
        for path in self._earlier(base):
            try:
                os.rename(path, self._own)
            except FileNotFoundError:
                continue
            self._before = path
            return
        trees.copy(kept, self._own)

    def give_back(self) -> None:
        """Return the copy to the attempt that it was taken from, because it contains what the job wrote."""
        if self._before is not None:
            os.rename(self._own, self._before)

    def _earlier(self, base: str) -> List[str]:
        """Return the copies of earlier attempts, the latest first."""
        name = re.compile(re.escape(self._origin) + r"(?:\.(\d{1,9}))?")
        numbers = {}
        for path in glob.glob(os.path.join(glob.escape(base), glob.escape(self._origin) + "*")):
            found = name.fullmatch(os.path.basename(path))
            if found and path != self._run_dir:
                numbers[path] = int(found[1] or 0)
        return [os.path.join(path, run_directory.CODE) for path in sorted(numbers, key=lambda own: -numbers[own])]
