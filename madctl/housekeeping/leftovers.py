# SPDX-License-Identifier: Apache-2.0
"""
Private temporary directories of madctl processes that were killed, on this machine.

They hold an inventory and the variables of a request, or sockets. A directory goes only when it is
ours, holds nothing else, and no process has anything to do with it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils._common import private_places

AGE_SECONDS = 86400.0
_NAME = re.compile(r"madctl-[a-z0-9_]{8}")
_ENGINE = {"inventory.yml", "variables.json", "events.sock", "runner", "cp"}
_LINKS = ("cwd", "root", "exe")


def find(directory: Path | None = None, now: float | None = None) -> list[Path]:
    """List the directories that nobody can need any more."""
    place, limit = directory or Path(private_places.base()), (now or time.time()) - AGE_SECONDS
    if not Path("/proc/self/cmdline").exists():
        return []  # Nothing here can tell who uses what.
    found = [path for path in sorted(place.glob("madctl-*")) if _is_left(path, limit)]
    if not found:
        return []
    said = everything_said()
    return [path for path in found if os.fsencode(path) not in said]


def remove(path: Path) -> None:
    """Erase a directory; what resists is left for the next time."""
    shutil.rmtree(path, ignore_errors=True)


def _is_left(path: Path, limit: float) -> bool:
    """Tell whether a directory is one of ours, by its name, owner, mode, age and content."""
    try:
        status = path.lstat()
        if not (stat.S_ISDIR(status.st_mode) and _NAME.fullmatch(path.name) and status.st_uid == os.geteuid()):
            return False
        if stat.S_IMODE(status.st_mode) != 0o700:
            return False
        entries = list(os.scandir(path))
        if not all(entry.name in _ENGINE or _is_forwarding(entry) for entry in entries):
            return False
        times = [
            os.lstat(os.path.join(root, name)).st_mtime for root, *names in os.walk(path) for name in sum(names, [])
        ]
    except OSError:
        return False
    return max([status.st_mtime, *times]) < limit


def _is_forwarding(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is the socket of a channel, which has the number of its node; see ``run_launch``."""
    return entry.name.partition(".")[0].isdigit() and stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)


def everything_said() -> bytes:
    """Join what all processes say of files: command lines, environments, open files, bound sockets."""
    parts = [Path("/proc/net/unix").read_bytes()] if Path("/proc/net/unix").exists() else []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            for name in ("cmdline", "environ"):
                try:
                    parts.append((process / name).read_bytes())
                except OSError:
                    continue
            parts += [os.fsencode(target) for target in _targets(process)]
    return b"\0".join(parts)


def _targets(process: Path) -> list[str]:
    links = [process / name for name in _LINKS]
    with suppress(OSError):
        links += (process / "fd").iterdir()
    found = []
    for link in links:
        try:
            found.append(os.readlink(link))
        except OSError:
            continue
    return found
