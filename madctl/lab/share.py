# SPDX-License-Identifier: Apache-2.0
"""
Mount a directory of this machine in hosts that already run, at the same path.

Runs as ``python3 -I -S share.py DIRECTORY PID…`` with the process IDs of hosts: a process that has entered a host's
mounts does not come back. It must import only the standard library.
"""

import ctypes
import os
import sys

# The numbers are the same on all machines that Linux numbers alike, x86_64 and aarch64 among them.
SYS_OPEN_TREE, SYS_MOVE_MOUNT, CLONE_NEWNS = 428, 429, 0x20000
AT_FDCWD, OPEN_TREE_CLONE, AT_RECURSIVE, EMPTY_PATH = -100, 1, 0x8000, 4

LIBC = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def share(directory: str, pid: int) -> None:
    """Mount a directory in the mounts of a process, which become ours."""
    name = directory.encode()
    tree = _checked(LIBC.syscall(SYS_OPEN_TREE, AT_FDCWD, name, OPEN_TREE_CLONE | AT_RECURSIVE), "open_tree")
    with open(f"/proc/{pid}/ns/mnt", "rb") as mounts:
        _checked(LIBC.setns(mounts.fileno(), CLONE_NEWNS), "setns")
    os.makedirs(directory, 0o755, exist_ok=True)
    _checked(LIBC.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, name, EMPTY_PATH), "move_mount")


def main() -> None:
    """Serve each host from a child of its own."""
    for pid in map(int, sys.argv[2:]):
        child = os.fork()
        if not child:
            share(sys.argv[1], pid)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(1)


if __name__ == "__main__":
    main()
