# SPDX-License-Identifier: Apache-2.0
"""Write a page where its user wants it: atomically, and readable only by the user."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from madctl.errors import refused

SUFFIX = ".html"
_HEAD_BYTES = 4096


def place(path: str) -> str:
    """
    Return the path of a page, before any node is contacted.

    Raises:
        UsageError: If a page cannot be written there.
    """
    found = os.path.realpath(path)
    parent = os.path.dirname(found)
    if os.path.isdir(found):
        raise refused("USAGE", f"{path} is a directory", remedy=f"--to {os.path.join(path, 'report' + SUFFIX)}")
    if os.path.lexists(found) and not stat.S_ISREG(os.stat(found).st_mode):
        raise refused("USAGE", f"{path} is not a file", remedy="name another one")
    if not os.path.isdir(parent):
        raise refused("REPORT_UNWRITABLE", f"there is no directory {parent}", remedy="create it, or name another one")
    return found


def is_replaced(path: str, run_id: str) -> bool:
    """Return whether a path is free, or has a page about the same run."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            return f'content="madctl report {run_id}"'.encode() in stream.read(_HEAD_BYTES)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def write(path: str, page: str) -> None:
    """
    Write a page, replacing an existing one.

    Raises:
        UsageError: If that is not possible.
    """
    partial = None
    try:
        descriptor, partial = tempfile.mkstemp(prefix=".madctl-report-", dir=os.path.dirname(path))
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(page)
            stream.flush()
            os.fsync(descriptor)
        os.replace(partial, path)
    except OSError as error:
        if partial is not None:
            with contextlib.suppress(OSError):
                os.unlink(partial)
        remedy = "name another place: --to FILE"
        raise refused("REPORT_UNWRITABLE", f"{path} could not be written: {reason(error)}", remedy=remedy) from error
