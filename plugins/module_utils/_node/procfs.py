# SPDX-License-Identifier: Apache-2.0
"""
Read /proc: processes, their open files, connections, the boot. Delivered beside the supervisor.

A missing entry may be the proof that no process runs, so a lack of file descriptors is an error. Private to the
collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Iterable, Iterator, List, NamedTuple, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._node import small_files

PROC = "/proc"
LISTEN, SYN_SENT = "0A", "02"


class Connection(NamedTuple):
    """A TCP socket, with both addresses, its state and its inode as the kernel writes them."""

    own: str
    other: str
    state: str
    inode: str


def read(path: str) -> bytes:
    """
    Read a file of a process; empty if the process has ended, or belongs to another user.

    Raises:
        OSError: If there is no file descriptor left to read it.
    """
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # A failure to read must not look as if there were nothing to read.
        return b""


def boot_id() -> str:
    """Return an id that distinguishes one boot of this machine from another."""
    return small_files.text(PROC + "/sys/kernel/random/boot_id") or ""


def numbered(directory: str = PROC) -> List[int]:
    """Return the entries of a directory that are numbers, in order; in /proc these are the processes."""
    try:
        return sorted(map(int, filter(str.isdigit, os.listdir(directory))))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def fields(pid: int, proc: str = PROC) -> List[str]:
    """Return the fields of a process's ``stat`` from the third one, its state; empty if there is no such process."""
    # The name before them may contain blanks and parentheses: count from its end.
    return read("%s/%d/stat" % (proc, pid)).rpartition(b")")[2].decode("ascii", "replace").split()


def environment(pid: int, proc: str = PROC) -> List[bytes]:
    """Return the environment that a process was executed with, one entry per variable, if this user may read it."""
    return read("%s/%d/environ" % (proc, pid)).split(b"\0")


def command_line(pid: int) -> List[str]:
    """Return a process's command line."""
    return os.fsdecode(read("%s/%d/cmdline" % (PROC, pid))).split("\0")[:-1]


def open_files(pid: int, proc: str = PROC) -> Iterator[str]:
    """Yield the path of each descriptor of a process, as far as this user may see them."""
    place = "%s/%d/fd" % (proc, pid)
    with contextlib.suppress(OSError):  # It has ended, or is another user's.
        yield from [os.path.join(place, name) for name in os.listdir(place)]


def targets(links: Iterable[str]) -> Iterator[str]:
    """Yield the targets of links, leaving out links that are gone."""
    for link in links:
        with contextlib.suppress(OSError):
            yield os.readlink(link)


def sockets(pid: int) -> Iterator[str]:
    """Yield the inodes of the sockets of a process, as ``connections`` names them."""
    for target in targets(open_files(pid)):
        if target.startswith("socket:["):
            yield target[8:-1]


def connections(tables: Sequence[str] = ("tcp",)) -> Iterator[Connection]:
    """Yield the TCP sockets of this host."""
    for table in tables:
        for line in (small_files.text("%s/net/%s" % (PROC, table)) or "").splitlines()[1:]:
            words = line.split()
            yield Connection(words[1], words[2], words[3], words[9])
