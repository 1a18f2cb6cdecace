# SPDX-License-Identifier: Apache-2.0
"""Types of file systems that are local to a node. Pure; private to the collection."""

from __future__ import annotations

from typing import Optional, Sequence

# No other node can see these. All other types are tested: what counts is whether nodes read each other's files.
_LOCAL = """
ext2 ext3 ext4 xfs btrfs zfs bcachefs f2fs jfs reiserfs nilfs2 ufs minix vfat msdos exfat ntfs ntfs3 hfs
hfsplus apfs fuseblk iso9660 udf squashfs erofs cramfs romfs ubifs jffs2 overlay aufs tmpfs ramfs rootfs
devtmpfs hugetlbfs proc sysfs devpts cgroup cgroup2 mqueue debugfs tracefs securityfs configfs fusectl pstore
efivarfs bpf binfmt_misc nsfs rpc_pipefs autofs selinuxfs fuse.fuse-overlayfs fuse.lxcfs fuse.gvfsd-fuse
fuse.portal fuse.snapfuse fuse.squashfuse fuse.squashfuse_ll fuse.ntfs-3g fuse.ntfs fuse.exfat
fuse.xdg-document-portal
"""
LOCAL_TYPES = frozenset(_LOCAL.split())


def is_below(path: str, base: str) -> bool:
    """Return whether a path is a directory itself or is below it."""
    return path.rstrip("/") == base.rstrip("/") or path.startswith(base.rstrip("/") + "/")


def is_local(fstype: Optional[str], more_types: Sequence[str] = ()) -> bool:
    """Return whether only this node can see a file system of a type; ``more_types`` count as shared."""
    return fstype not in more_types and (fstype is None or fstype in LOCAL_TYPES)
