# SPDX-License-Identifier: Apache-2.0
"""
Where the directories of runs in jobs are, if the user does not say: at home, if all machines of the site see that.

What proves it are the agents of the job, which have to read a key there. Private to the collection.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._node import mount_table

# Below the home directory.
USUAL = ".madctl/runs"
# Home directories of clusters are on these. Others may be shared as well, but nobody need guess that.
_NETWORK_TYPES = """
nfs nfs4 lustre gpfs mmfs beegfs ceph fuse.ceph wekafs panfs pvfs2 orangefs glusterfs fuse.glusterfs afs cifs smb3
gfs2 ocfs2 fuse.juicefs fuse.moosefs fuse.daos
"""


class Storage(NamedTuple):
    """The storage of a path: where it is mounted, and the type of its file system; empty if that is unknown."""

    point: str
    fstype: str

    @property
    def is_network(self) -> bool:
        """Whether other machines see it, too, as far as its type tells."""
        return self.fstype in _NETWORK_TYPES.split()


def storage(path: str, mountinfo: Optional[str] = None) -> Storage:
    """
    Return the storage that holds a path, or will hold it.

    Args:
        mountinfo: What the kernel says is mounted; by default it is asked.
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
