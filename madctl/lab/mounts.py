# SPDX-License-Identifier: Apache-2.0
"""Directories of this machine in the hosts of a lab: those that may be mounted, and those that hosts always see."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from madctl.errors import UsageError, refused
from madctl.lab.spec import SHARED, Lab, Mount

# Below these, hosts have files of their own, or the machine's programs, which a job must not change.
_SYSTEM = ("/proc", "/sys", "/dev", "/run", "/boot", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
# Runs on a host keep their files there, and hosts must not share it.
_OWN = ("/var/tmp", "/var/run", "/var/lib/madctl", SHARED)
# A bind of one of these itself would break the host; its overlay shows the same files anyway.
_NEVER_BOUND = frozenset(
    map(
        Path,
        (
            "/",
            "/root",
            "/home",
            "/etc",
            "/usr",
            "/var",
            "/opt",
            "/srv",
            "/mnt",
            "/bin",
            "/lib",
            "/tmp",
            "/run",
            "/var/tmp",
        ),
    )
)
_HIDDEN = tuple(map(Path, ("/tmp", "/run", "/dev/shm", "/var/tmp")))
_OPTION = "--mount"


def chosen(texts: Iterable[str]) -> tuple[Mount, ...]:
    """
    Parse the values of ``--mount``, ``DIR`` or ``DIR:ro``, and return the mounts outermost first.

    Raises:
        UsageError: If a directory cannot be mounted, or is wanted both writable and read-only.
    """
    found = sorted({_parsed(text) for text in texts}, key=lambda mount: mount.path)
    for one, other in pairwise(found):
        if one.path == other.path:
            raise refused("USAGE", f"{_OPTION}: {one.path} is given both writable and read-only")
    return tuple(found)


def _parsed(text: str) -> Mount:
    path = text.removesuffix(":ro")
    if not path.startswith("/") or not path.isprintable():
        remedy = f"{_OPTION} {Path.cwd() / path}" if path and path.isprintable() else None
        raise refused("USAGE", f"{_OPTION} takes an absolute path, not {path!r}", remedy=remedy)
    whole = os.path.normpath("/" + path.lstrip("/"))
    if Path(whole) in _NEVER_BOUND or any(Path(whole).is_relative_to(top) for top in (*_SYSTEM, *_OWN)):
        raise _unfit(whole, "hosts have their own", "name a directory with data")
    if not os.path.isdir(whole):
        raise _unfit(whole, "it is not a directory" if os.path.lexists(whole) else "it does not exist", None)
    real = os.path.realpath(whole)
    if real != whole:
        raise _unfit(whole, "a symbolic link leads to it", f"{_OPTION} {real}")
    return Mount(whole, read_only=path != text)


def _unfit(path: str, why: str, remedy: str | None) -> UsageError:
    return refused("LAB_MOUNT_INVALID", f"{path} cannot be mounted: {why}", remedy=remedy)


def binds(lab: Lab) -> list[tuple[str, str, bool]]:
    """Return the binds of each host, outermost first: directory, path in the host, and whether it is read-only."""
    seen = [Mount(str(path), read_only=True) for path in _visible(lab.mounts)]
    own = sorted((*seen, *lab.mounts), key=lambda mount: mount.path)
    shared = [(lab.shared, path, False) for path in (lab.shared, SHARED)]
    return [(mount.path, mount.path, mount.read_only) for mount in own] + shared


def _visible(mounts: Sequence[Mount]) -> list[Path]:
    """Return the caller's directories that hosts always see: Python's environment, the current directory."""
    wanted = {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2]}
    needed = {path for path in wanted if _is_hidden(path)}
    here = Path.cwd()
    if here not in _NEVER_BOUND and here != Path.home():
        needed.add(here)
    return [
        path
        for path in needed
        if path not in _NEVER_BOUND and not any(path.is_relative_to(mount.path) for mount in mounts)
    ]


def _is_hidden(path: Path) -> bool:
    """Return whether this directory is missing from a host's overlay of ``/``."""
    return path.stat().st_dev != os.stat("/").st_dev or any(path.is_relative_to(top) for top in _HIDDEN)
