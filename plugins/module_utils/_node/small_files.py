# SPDX-License-Identifier: Apache-2.0
"""
Read small files, with a limit on their size; in places that a job can write to, only regular files.

Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, Dict, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire


def text(path: str, most: int = -1) -> Optional[str]:
    """Read a small file as text without surrounding blanks, at most ``most`` characters; None if that fails."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read(most).strip()
    return None


def is_regular(path: str) -> bool:
    """Return whether a path is that of a regular file."""
    with contextlib.suppress(OSError):
        return stat.S_ISREG(os.lstat(path).st_mode)
    return False


def opened(path: str, flags: int = os.O_RDONLY) -> int:
    """
    Open a regular file, and nothing that a job may have put in its place.

    Raises:
        OSError: If it is something else, or cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("%s is not a file" % path)
    return descriptor


def read(path: str, most: int) -> bytes:
    """
    Read the beginning of a regular file, at most ``most`` bytes.

    Raises:
        OSError: If it is something else, or cannot be read.
    """
    with os.fdopen(opened(path), "rb") as stream:
        return stream.read(most)


def remove(*paths: str) -> None:
    """Remove files that may already have been removed or replaced."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)


def read_object(path: str, most: int) -> Optional[Dict[str, Any]]:
    """Read one JSON object; None if there is no such file, it is longer, or it contains something else."""
    with contextlib.suppress(OSError):
        data = read(path, most + 1)
        return wire.parse_or_none(data) if len(data) <= most else None
    return None
