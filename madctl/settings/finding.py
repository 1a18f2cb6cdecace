# SPDX-License-Identifier: Apache-2.0
"""
Find the settings files, and read them only if no other user can have written them.

Every start of madctl imports this, and usually there is no file, so it imports next to nothing.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from madctl.errors import UsageError, refused

NAME = "madctl.toml"
PREFIX = "MADCTL_"
MOST_BYTES = 64 << 10


@dataclass(frozen=True)
class Text:
    """A settings file as it is on disk; ``is_project`` is False for the user's own."""

    path: str
    content: bytes
    is_project: bool


def is_any(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether there may be any settings."""
    return bool(any(name.startswith(PREFIX) for name in environment) or project() or os.path.lexists(user(environment)))


def project(start: str | None = None) -> str | None:
    """Return the nearest settings file, in this directory or above it."""
    try:
        place = os.path.abspath(start or os.getcwd())
    except OSError:
        return None  # The directory was deleted.
    while True:
        path = os.path.join(place, NAME)
        if os.path.lexists(path):
            return None if _is_same(path, user()) else path
        if place == os.path.dirname(place):
            return None
        place = os.path.dirname(place)


def user(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the user's own settings file, whether or not it exists."""
    if sys.platform in ("darwin", "win32"):
        from platformdirs import user_config_dir

        return os.path.join(user_config_dir("madctl"), NAME)
    # The same as platformdirs, whose import would take longer than everything else in this file.
    base = environment.get("XDG_CONFIG_HOME", "").strip() or os.path.expanduser("~/.config")
    return os.path.join(base, "madctl", NAME)


def texts() -> list[Text]:
    """
    Read the existing files, the user's first.

    Raises:
        UsageError: If one cannot be read, or others could have written it.
    """
    own, near = user(), project()
    found = [Text(own, read(own), False)] if os.path.lexists(own) else []
    return [*found, Text(near, read(near), True)] if near else found


def read(path: str) -> bytes:
    """
    Read a settings file.

    Raises:
        UsageError: If it is not a file of this user, is writable by others, or is too large.
    """
    try:
        link = os.lstat(path)
        if not stat.S_ISLNK(link.st_mode) or _is_trusted_owner(link.st_uid):
            # If it is a pipe, do not wait for its other end.
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
                _require_own(path, os.fstat(stream.fileno()))
                content = stream.read(MOST_BYTES + 1)
        else:
            raise _refused(path, "it is a link of another user")
    except OSError as error:
        from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason

        raise refused("SETTINGS_INVALID", f"{path} cannot be read: {reason(error)}") from error
    if len(content) > MOST_BYTES:
        raise refused("SETTINGS_INVALID", f"{path} is larger than {MOST_BYTES >> 10} KiB")
    return content


def _require_own(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a file"
        raise refused("SETTINGS_INVALID", f"{path} is {what}", remedy="remove it, or rename it")
    if not _is_trusted_owner(status.st_uid):
        raise _refused(path, "it belongs to another user")
    if status.st_mode & stat.S_IWOTH or status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid):
        raise refused(
            "SETTINGS_REFUSED", f"{path} is not used: others can write to it", remedy=f"chmod go-w {_quoted(path)}"
        )


def _refused(path: str, why: str) -> UsageError:
    remedy = f"put a {NAME} of your own into a nearer directory; it may be empty"
    return refused("SETTINGS_REFUSED", f"{path} is not used: {why}", remedy=remedy)


def _is_trusted_owner(uid: int) -> bool:
    """Return whether a file's owner is this user, root, or the user who called sudo."""
    own = os.geteuid()
    return uid in (0, own) or own == 0 and str(uid) == os.environ.get("SUDO_UID")


def _is_private(gid: int) -> bool:
    """Return whether a group is this user's private group, which many distributions create for each user."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return (gid, group.gr_name) == (user.pw_gid, user.pw_name) and set(group.gr_mem) <= {user.pw_name}


def _is_same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(path)
