# SPDX-License-Identifier: Apache-2.0
"""
Read host lists as people write them. Order given is rank order.

ClusterShell parses ranges and groups. It sorts what it parses, so every comma, also inside brackets,
is split here first; what is left for it, one range at a time, has only one order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils import _hostlist
from madctl.errors import Problem, UsageError

MAX_HOSTS = 4096
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?")
_RANGE = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class HostEntry:
    """One node as the user named it; ``slots`` is None where the list does not say."""

    name: str
    user: str | None = None
    port: int | None = None
    slots: int | None = None


def from_list(text: str) -> list[HostEntry]:
    """
    Read ``gpu[01-16]``, ``a,b,c``, ``gpu[1-8/2]``, ``@group``, ``user@host:port`` and IPv6 literals.

    Raises:
        UsageError: If a part is empty, malformed, hostile or repeated.
    """
    return _checked([entry for part in split(text, text) for entry in _expand(part)], text)


def from_file(path: str) -> list[HostEntry]:
    """
    Read a host file: one ``name``, ``name slots=N`` or ``name:N`` a line; ``#`` begins a comment.

    Raises:
        UsageError: If the file cannot be read or a line cannot be meant.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(Problem("HOSTFILE_UNREADABLE", f"{path}: {error}")) from error
    entries = []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if words:
            entries += _file_line(words, f"{path}:{number}")
    return _checked(entries, path)


def from_environment(environment: Mapping[str, str] = os.environ) -> list[HostEntry]:
    """Read Slurm's node list where there is one, else nothing."""
    return from_list(environment["SLURM_JOB_NODELIST"]) if environment.get("SLURM_JOB_NODELIST") else []


def _file_line(words: list[str], where: str) -> list[HostEntry]:
    try:
        name, slots = _hostlist.slots_of(words, where)
    except _hostlist.HostsError as error:
        raise _refused(error) from error
    found = [entry for part in split(name, where) for entry in _expand(part)]
    return [HostEntry(entry.name, entry.user, entry.port, slots) for entry in found]


def split(text: str, whole: str) -> list[str]:
    """Split at the commas that are outside of brackets."""
    try:
        return list(_hostlist.split(text, whole))
    except _hostlist.HostsError as error:
        raise _refused(error) from error


def _refused(error: _hostlist.HostsError) -> UsageError:
    found = error.problem
    return UsageError(Problem(found["code"], found["message"], remedy=found["remedy"]))


def _malformed(text: str, reason: str) -> UsageError:
    return UsageError(Problem("HOSTS_MALFORMED", f"host list {text!r}: {reason}", remedy="write it like gpu[01-16]"))


def _expand(part: str) -> list[HostEntry]:
    user, at, rest = part.rpartition("@")
    if part.startswith("@"):
        return [HostEntry(name) for name in _nodeset(part)]
    if at and not _USER.fullmatch(user):
        raise _hostile(part)
    rest, port = _port(rest, part)
    if _IPV6.fullmatch(rest):
        return [HostEntry(rest, user or None, port)]
    return [HostEntry(name, user or None, port) for piece in _ordered(rest) for name in _nodeset(piece)]


def _port(text: str, part: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.%]+:[0-9A-Fa-f:.%]*)\](?::(\d+))?", text)
    if bracketed:
        return bracketed[1], int(bracketed[2]) if bracketed[2] else None
    name, colon, port = text.rpartition(":")
    if colon and ":" not in name:
        if not port.isdigit() or not 1 <= int(port) <= 65535:
            raise _malformed(part, f"{port!r} is no port")
        return name, int(port)
    return text, None


def _ordered(text: str) -> Iterable[str]:
    """Split ``n[3,1-2]`` into ``n[3]`` and ``n[1-2]``, for every pair of brackets."""
    match = re.search(r"\[([^\]]*,[^\]]*)\]", text)
    if not match:
        return [text]
    pieces = (f"{text[: match.start()]}[{inner}]{text[match.end() :]}" for inner in match[1].split(","))
    return [final for piece in pieces for final in _ordered(piece)]


def _nodeset(text: str) -> list[str]:
    from ClusterShell.NodeSet import NodeSet, NodeSetException
    from ClusterShell.NodeUtils import GroupResolverError, GroupSourceError
    from ClusterShell.RangeSet import RangeSetException

    outside = re.sub(r"\[[^\]]*\]", "", text)
    if not text.startswith("@") and outside and not re.fullmatch(r"[A-Za-z0-9._-]*", outside):
        raise _hostile(text)
    size = 1
    for low, high in _RANGE.findall(text):
        size *= max(1, int(high) - int(low) + 1)
    if size > MAX_HOSTS:
        raise _malformed(text, f"more than {MAX_HOSTS} hosts")
    try:
        names = [str(name) for name in NodeSet(text)]
    except (NodeSetException, RangeSetException, GroupResolverError, GroupSourceError) as error:
        raise _malformed(text, str(error)) from error
    if not names:
        raise UsageError(Problem("HOSTS_EMPTY", f"{text} names no host"))
    return names


def _hostile(text: str) -> UsageError:
    return UsageError(
        Problem(
            "HOST_INVALID", f"{text!r} cannot be a host", remedy="use letters, digits, '.', '-' and '_', not '-' first"
        )
    )


def _checked(entries: list[HostEntry], source: str) -> list[HostEntry]:
    if not entries:
        raise UsageError(Problem("HOSTS_EMPTY", f"no host in {source!r}", remedy="--hosts gpu[01-16]"))
    seen = set()
    for entry in entries:
        if not _NAME.fullmatch(entry.name) and not _IPV6.fullmatch(entry.name):
            raise _hostile(entry.name)
        if entry.name in seen:
            raise UsageError(Problem("HOST_DUPLICATE", "the host is named twice", entry.name, "name every node once"))
        seen.add(entry.name)
    if len(entries) > MAX_HOSTS:
        raise UsageError(Problem("HOSTS_MALFORMED", f"{len(entries)} hosts are more than {MAX_HOSTS}"))
    return entries
