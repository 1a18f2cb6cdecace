# SPDX-License-Identifier: Apache-2.0
"""
Private directories for sockets and for paths that other programs parse.

The kernel bounds the path of a socket to about a hundred bytes, and ssh, ansible-runner and Ansible give a meaning
to blanks, quotes, ``%`` and braces. Private to the collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from typing import Dict

PREFIX = "madctl-"
_PLAIN = re.compile(r"[A-Za-z0-9_./+@-]+")
# These leave room in a socket's path for our own names, and for what ssh adds to one while it makes it.
LONGEST, LONGEST_BASE = 75, 50
_OTHERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  directories there are made private

_locks: Dict[str, int] = {}


def is_plain(path: str) -> bool:
    """Return whether a directory can hold sockets, and has the same meaning for every program."""
    return len(path) <= LONGEST and bool(_PLAIN.fullmatch(path))


def base() -> str:
    """Return the directory in which private directories are made: ``TMPDIR`` if its path is short and plain."""
    usual = tempfile.gettempdir()
    fitting = (place for place in (usual, *_OTHERS) if len(place) <= LONGEST_BASE and is_plain(place))
    return next((place for place in fitting if os.access(place, os.W_OK | os.X_OK)), usual)


def private() -> str:
    """Make a directory for this user alone; it is locked until this process, and every copy of it, has ended."""
    path = tempfile.mkdtemp(prefix=PREFIX, dir=base())
    _locks[path] = os.open(path, os.O_RDONLY)
    with contextlib.suppress(OSError):  # Some network file systems have no locks.
        fcntl.flock(_locks[path], fcntl.LOCK_SH)
    return path


def remove(path: str) -> None:
    """Delete a directory that this process made, and release its lock."""
    shutil.rmtree(path, ignore_errors=True)
    os.close(_locks.pop(path))


def is_in_use(path: str) -> bool:
    """Return whether a process that made a private directory may still be running."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
