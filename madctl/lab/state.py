# SPDX-License-Identifier: Apache-2.0
"""
The record of a lab, and how to find its parts if that is incomplete.

Everything lies below ``/run/madctl/lab/NAME`` (0700, root), so it vanishes when the machine reboots, except for the
shared directory, which may be too large for a file system in memory: ``/var/lib/madctl/lab/NAME``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from madctl.errors import refused
from madctl.lab.spec import Host, Lab, Mount, check_name

ROOT = Path("/run/madctl/lab")
SHARED_ROOT = Path("/var/lib/madctl/lab")
RECORD = "lab.json"
TOLD = "told"
# Notices that hold for all runs in a lab, so they are shown only once.
_ONCE = frozenset({"NO_GPU"})
MARK = "MADCTL_IN_LAB"


def directory(name: str) -> Path:
    """Return the directory of a lab, whether or not it exists."""
    check_name(name)
    return ROOT / name


def shared_directory(name: str) -> Path:
    """Return the directory that the hosts of a lab share, whether or not it exists."""
    check_name(name)
    # Hosts see it at this path, which must not contain links.
    return SHARED_ROOT.resolve() / name


def machine_boot_id() -> str:
    """Return the ID of this boot: a lab recorded during an earlier one no longer runs."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def save(lab: Lab) -> None:
    """Record a lab atomically."""
    path = directory(lab.name) / RECORD
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(lab)))
    partial.replace(path)


def load(name: str) -> Lab:
    """
    Read the record of a lab that is up.

    Raises:
        UsageError: If there is no such lab.
    """
    try:
        data = json.loads((directory(name) / RECORD).read_text())
        parts = {"hosts": tuple(Host(**host) for host in data["hosts"])}
        lab = Lab(**{**data, **parts, "mounts": tuple(Mount(**mount) for mount in data["mounts"])})
    except FileNotFoundError:
        lab = None
    if lab is None or lab.boot_id != machine_boot_id():
        close = kinds.meant(name, [other for other in names() if other != name])
        start = f"start it: madctl lab up -n 2 --name {name}"
        raise refused("LAB_NOT_UP", f'lab "{name}" is not up', remedy=f"{close} or {start}" if close else start)
    return lab


def told(name: str) -> frozenset[str]:
    """Return the codes of notices that were already shown about a lab and are not repeated."""
    try:
        return frozenset((directory(name) / TOLD).read_text().split())
    except FileNotFoundError:
        return frozenset()


def remember_told(name: str, codes: Iterable[str]) -> None:
    """Record which of the shown notices must not be repeated in this lab."""
    known = told(name)
    found = known | (_ONCE & set(codes))
    if found != known:
        with contextlib.suppress(FileNotFoundError):  # The lab was taken down meanwhile.
            (directory(name) / TOLD).write_text("\n".join(sorted(found)))


def indexes() -> set[int]:
    """Return the indexes of all recorded labs, even those recorded by another version of madctl."""
    return {json.loads((directory(name) / RECORD).read_text())["index"] for name in names() if is_recorded(name)}


def is_recorded(name: str) -> bool:
    """Return whether a lab has a record, which is written once its hosts are booting."""
    return (directory(name) / RECORD).exists()


def names() -> list[str]:
    """Return the labs that have a directory, including incomplete ones."""
    try:
        return sorted(entry.name for entry in ROOT.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []


def marked_processes(name: str) -> list[int]:
    """
    Find the processes that carry a lab's mark in their environment.

    Processes inside hosts may have dropped it; those that keep the hosts up still have it.
    """
    mark = f"{MARK}={name}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                environment = Path("/proc", entry, "environ").read_bytes()
            except OSError:
                continue
            if mark in environment.split(b"\0"):
                found.append(int(entry))
    return found


@contextmanager
def exclusive() -> Iterator[None]:
    """Let one process at a time change labs on this machine."""
    # Lock a directory that every machine has, so that no lock file remains.
    descriptor = os.open(ROOT.parents[1], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
