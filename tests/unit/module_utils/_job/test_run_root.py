# SPDX-License-Identifier: Apache-2.0
"""Where the directories of runs in jobs are by default."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._job import run_root

MOUNTS = """\
21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
22 21 0:30 / /home rw shared:2 - {fstype} server:/home rw
"""


@pytest.mark.parametrize(
    ("fstype", "is_network"),
    [
        *((fstype, True) for fstype in ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.ceph", "wekafs")),
        *((fstype, False) for fstype in ("ext4", "xfs", "tmpfs", "overlay", "autofs", "fuse.sshfs", "nf")),
    ],
)
def test_the_type_of_the_file_system_of_a_home_tells_whether_nodes_see_it(fstype, is_network):
    found = run_root.storage("/home/me", MOUNTS.format(fstype=fstype))

    assert found == ("/home", fstype) and found.is_network is is_network


def test_a_path_that_is_not_there_yet_is_on_what_its_parent_is_on():
    assert run_root.storage("/home/me/not/yet", MOUNTS.format(fstype="nfs4")).point == "/home"
    assert run_root.storage("/srv", MOUNTS.format(fstype="nfs4")) == ("/", "ext4")
    assert run_root.storage("/srv", "") == ("", "")
