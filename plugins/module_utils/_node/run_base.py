# SPDX-License-Identifier: Apache-2.0
"""The directory of run directories on this node. Private to the collection."""

from __future__ import annotations

import os


def own(base: str) -> str:
    """
    Make the directory of run directories, which only this user may read, and return it.

    Raises:
        OSError: If that fails, or it belongs to another user.
    """
    if not os.path.isdir(base):
        os.makedirs(base, 0o700, exist_ok=True)
    if os.lstat(base).st_uid != os.geteuid():
        raise OSError("%s belongs to another user" % base)
    return base
