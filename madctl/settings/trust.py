# SPDX-License-Identifier: Apache-2.0
"""
Settings that a project's file may not have until the user trusts it: it may have come with somebody else's code.

Trust covers a path and its content, so a changed file must be trusted again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._request import host_files
from madctl.errors import UsageError, refused
from madctl.settings import values
from madctl.settings.entries import ENV, Entry, shown
from madctl.settings.reading import File

# These can run programs, on this machine or on nodes, read files of this machine, make connections less secure, or
# delete files of others.
RISKY = (
    *("inventory", "ssh-config", "kubeconfig", "setup", "login-shell", "on-end", "notify", "mpi-args", "sbatch-args"),
    *("become-password-file", "env-file", "accept-new-host-keys", "replace-containers", "days"),
)
# Programs that even a check starts; those inside the project need trust.
_PROGRAMS = ("python", "mpirun")
# Variables with the paths where these programs look for code; a host file may set them, too.
_SEARCHED = ("PATH", "PYTHONPATH", "PYTHONHOME")
# Options with other names that need trust, too, by the form of their values in the help.
_RISKY_FORMS = ("COMMAND", "URL")
_HOSTFILE = "hostfile"
_MOST_BYTES, _MOST = 4 << 20, 10_000
_REMEDY = "read the file, then: madctl config --trust"


def needs(action: argparse.Action, entry: Entry) -> bool:
    """Return whether a setting counts only in a trusted file."""
    if not entry.origin.is_project or entry.value is False:
        return False
    if entry.key in RISKY or action.metavar in _RISKY_FORMS:
        return True
    if entry.key == ENV:
        texts = values.texts(action, entry)
        # Without a value, one from this machine's environment would be sent.
        return any("=" not in text or _finds_code(entry, *text.split("=", 1)) for text in texts)
    if entry.key in _PROGRAMS:
        return any("/" in text and _is_inside(entry, text) for text in values.texts(action, entry))
    if not values.is_path_here(action, entry.key):
        return False
    paths = [text.removesuffix(":ro") for text in values.texts(action, entry)]
    return not all(_is_inside(entry, path) for path in paths) or entry.key == _HOSTFILE and _chooses_code(entry, paths)


def _finds_code(entry: Entry, name: str, value: str) -> bool:
    """Return whether a variable makes the programs of a check load code of the project."""
    return name in _SEARCHED and any(_is_inside(entry, place) for place in value.split(os.pathsep))


def _chooses_code(entry: Entry, paths: Sequence[str]) -> bool:
    """Return whether a host file sets for a host what the project's file may not set for all hosts."""
    for path in paths:
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), encoding="utf-8") as stream:
                found = host_files.from_lines(stream.read(_MOST_BYTES), path)
        except (OSError, ValueError):
            continue  # The command itself will refuse it.
        for host in found:
            if host.python and "/" in host.python and _is_inside(entry, host.python):
                return True
            if any(_finds_code(entry, name, value) for name, value in host.env):
                return True
    return False


def _is_inside(entry: Entry, text: str) -> bool:
    """Return whether a path is in the directory of the file that names it, with all links resolved."""
    place = os.path.realpath(os.path.dirname(entry.origin.path or ""))
    return os.path.commonpath([place, os.path.realpath(os.path.join(place, text))]) == place


def refusal(entry: Entry) -> UsageError:
    """Make the error for a setting that needs trust in a file that is not trusted."""
    message = f"{entry.origin}: a project may set {entry.key} only in a file that you trust"
    return refused("SETTINGS_UNTRUSTED", message, remedy=_REMEDY)


def is_trusted(file: File) -> bool:
    """Return whether the user trusts a file in its current state; the user's own file needs no trust."""
    return not file.is_project or _read().get(os.path.realpath(file.path)) == file.digest


def add(files: Sequence[File]) -> None:
    """
    Trust files in their current state.

    Raises:
        UsageError: If that cannot be recorded.
    """
    kept = {path: digest for path, digest in _read().items() if os.path.lexists(path)}
    kept |= {os.path.realpath(file.path): file.digest for file in files}
    place = _place()
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(partial, flags, 0o600), "w", encoding="utf-8", errors="surrogateescape") as stream:
            json.dump(dict(list(kept.items())[-_MOST:]), stream)
        partial.replace(place)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        remedy = "set XDG_STATE_HOME to a directory that can be written"
        raise refused(
            "SETTINGS_INVALID", f"cannot write {shown(str(place))}: {reason(error)}", remedy=remedy
        ) from error


def _place() -> Path:
    from platformdirs import user_state_path

    return user_state_path("madctl") / "trusted.json"


def _read() -> dict[str, str]:
    """Read which files are trusted: none, if others may have written the list."""
    try:
        with open(os.open(_place(), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as stream:
            status = os.fstat(stream.fileno())
            is_own = status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if not stat.S_ISREG(status.st_mode) or not is_own:
                return {}
            found = json.loads(stream.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {path: digest for path, digest in found.items() if isinstance(digest, str)}
