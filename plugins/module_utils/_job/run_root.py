# SPDX-License-Identifier: Apache-2.0
"""
The default place of directories of runs in jobs: the home directory, if all machines of the site see it.

The agents of the job prove that: they have to read a key there. Private to the collection.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._node import mount_table

# Below the home directory.
USUAL = ".madctl/runs"
# Home directories of clusters are on these types. Others may also be shared, but there is no need to guess.
_NETWORK_TYPES = """
nfs nfs4 lustre gpfs mmfs beegfs ceph fuse.ceph wekafs panfs pvfs2 orangefs glusterfs fuse.glusterfs afs cifs smb3
gfs2 ocfs2 fuse.juicefs fuse.moosefs fuse.daos
"""


class Storage(NamedTuple):
    """The storage of a path: where it is mounted, and the type of its file system; empty if unknown."""

    point: str
    fstype: str

    @property
    def is_network(self) -> bool:
        """Whether other machines see it, too, as far as its type shows."""
        return self.fstype in _NETWORK_TYPES.split()


def storage(path: str, mountinfo: Optional[str] = None) -> Storage:
    """
    Return the storage that a path is on, or will be on.

    Args:
        mountinfo: The kernel's list of mounts; by default it is read.
    """
    with contextlib.suppress(OSError):
        os.stat(path)  # This makes autofs mount it.
    try:
        found = mount_table.entry(os.path.realpath(path), mountinfo)
    except OSError:
        found = {}
    return Storage(found.get("point", ""), found.get("fstype", ""))


def usual(home: str) -> str:
    """Return the usual directory of runs."""
    return os.path.join(home, USUAL)
