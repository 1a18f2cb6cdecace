# SPDX-License-Identifier: Apache-2.0
"""
Private temporary directories of madctl processes that were killed, on this machine.

They hold an inventory and the variables of a request, or sockets. They are not in a login's runtime directory,
because madctl may run in cron, CI or a container, without one. A directory is deleted only if it is ours, holds
nothing else, and the process that made it has ended.
"""

from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils._common import private_places

AGE_SECONDS = 86400.0
_NAME = re.compile(r"madctl-[a-z0-9_]{8}")
_CONTENT = {"inventory.yml", "variables.json", "events.sock", "live.sock", "runner", "cp"}


def find() -> list[Path]:
    """List the directories that are no longer needed."""
    return [path for path in sorted(Path(private_places.base()).glob(f"{private_places.PREFIX}*")) if _is_left(path)]


def _is_left(path: Path) -> bool:
    """Return whether a directory is ours, by its name, owner, mode and content, and old and unused."""
    try:
        status = path.lstat()
        if not (stat.S_ISDIR(status.st_mode) and _NAME.fullmatch(path.name) and status.st_uid == os.geteuid()):
            return False
        if stat.S_IMODE(status.st_mode) != 0o700 or not _CONTENT.issuperset(os.listdir(path)):
            return False
        times = [
            os.lstat(os.path.join(root, name)).st_mtime for root, *names in os.walk(path) for name in sum(names, [])
        ]
    except OSError:
        return False
    is_old = max([status.st_mtime, *times]) < time.time() - AGE_SECONDS
    return is_old and not private_places.is_in_use(str(path))
