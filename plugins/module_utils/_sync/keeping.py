# SPDX-License-Identifier: Apache-2.0
"""
Keep a tree of code in the directory of a job, on storage that its nodes see, for them to copy.

It is laid out as on nodes, but it is not shared with other runs, and is removed with the run. Private to the
collection.
"""

from __future__ import annotations

import os

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import trees
from ansible_collections.madctl.multinode.plugins.module_utils._sync import packing, receiving
from ansible_collections.madctl.multinode.plugins.module_utils._sync.reading import Tree


def keep(tree: Tree, place: str) -> None:
    """
    Write a tree below a directory.

    Raises:
        Refused: If a file has changed since it was listed.
        OSError: If it cannot be written.
    """
    kept = trees.place(place, tree.identity)
    os.makedirs(kept, 0o700)
    with open(os.path.join(kept, run_directory.MANIFEST), "wb") as stream:
        stream.write(tree.data)
    files = os.fsencode(os.path.join(kept, run_directory.FILES))
    os.mkdir(files, 0o700)
    for number, entry in enumerate(tree.entries):
        path = os.path.join(files, entry.path)
        if entry.kind == manifest.DIRECTORY:
            os.mkdir(path, 0o700)
        elif entry.kind == manifest.LINK:
            os.symlink(entry.target, path)
        else:
            with os.fdopen(trees.create(path), "wb") as stream:
                for data in packing.content(tree, number):
                    stream.write(data)
                os.fchmod(stream.fileno(), receiving.mode(entry))
