# SPDX-License-Identifier: Apache-2.0
"""
How Ansible reaches nodes, kept so that later commands need not ask it again.

This stays valid as long as none of its sources changes: inventories, their variables, Ansible's settings. Nothing is
kept of inventories that are programs, use plugins or contain secrets: Ansible is asked each time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import fields, mapped, maybe, text
from ansible_collections.madctl.multinode.plugins.module_utils._ways import kept
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Ways
from madctl.nodes.inventory import Targets, group_of

_MOST_BYTES, _MOST_FILES = 16 << 20, 10_000
_BESIDE = ("group_vars", "host_vars")
_SECRET = (b"$ANSIBLE_VAULT", b"!vault")
_PLUGIN = b"plugin:"
_SETTINGS = ("./ansible.cfg", "~/.ansible.cfg", "/etc/ansible/ansible.cfg")
# What ``keep`` returns.
is_sound = maybe(fields({"seal": text(), "ways": mapped(kept.is_kept, 1 << 20)}))


class _Unkept(Exception):  # noqa: N818  it is an answer, not an error
    """The ways to nodes must not, or cannot, be kept."""


def seal(targets: Targets, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a digest of everything from which Ansible derives the ways to nodes; None if they must not be kept."""
    found = hashlib.sha256()
    try:
        for path in _files(targets.sources):
            found.update(os.fsencode(path) + b"\0" + _content(path) + b"\0")
        named = [environment["ANSIBLE_CONFIG"]] if environment.get("ANSIBLE_CONFIG") else []
        for name in (*named, *_SETTINGS):
            path = Path(os.path.expanduser(name)).absolute()
            if path.is_file():
                found.update(os.fsencode(path) + b"\0" + path.read_bytes() + b"\0")
    except (OSError, _Unkept):
        return None
    names = sorted(name for name in environment if name.startswith("ANSIBLE_") or name in ("HOME", "USER", "LOGNAME"))
    common = group_of(targets.inventory)["vars"]
    given = [[environment[name] for name in names], names, list(targets.sources), common, os.geteuid()]
    found.update(json.dumps(given, sort_keys=True).encode())
    return found.hexdigest()


def _files(sources: tuple[str, ...]) -> Iterator[Path]:
    """List all files of inventories, including the files of variables beside them."""
    count = 0
    for source in sources:
        path = Path(source)
        if not path.exists():
            if "," in source:
                continue  # A host list has no files.
            raise _Unkept
        place = path if path.is_dir() else path.parent
        for root in (path, *(place / name for name in _BESIDE)):
            for file in sorted(root.rglob("*")) if root.is_dir() else [root] if root.exists() else []:
                if file.is_file():
                    count += 1
                    if count > _MOST_FILES:
                        raise _Unkept
                    if os.access(file, os.X_OK) and file.parent == place:
                        raise _Unkept
                    yield file


def _content(path: Path) -> bytes:
    if path.stat().st_size > _MOST_BYTES:
        raise _Unkept
    data = path.read_bytes()
    if any(mark in data for mark in _SECRET) or any(line.startswith(_PLUGIN) for line in data.splitlines()):
        raise _Unkept
    return data


def keep(targets: Targets, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """
    Return how all nodes of a request are reached, for a record; None if that must not be kept.

    Args:
        told: The way to each node as data, None for one that must not be kept.
    """
    if not all(kept.is_kept(told.get(name)) for name in targets.names):
        return None
    sealed = seal(targets)
    return None if sealed is None else {"seal": sealed, "ways": {name: told[name] for name in targets.names}}


def ways(targets: Targets) -> Ways | None:
    """Return the kept ways to nodes; None if there are none, or their sources have changed."""
    known = targets.reach
    if known is None or not set(targets.names) <= set(known["ways"]) or known["seal"] != seal(targets):
        return None
    return {name: kept.loaded(name, known["ways"][name]) for name in targets.names}
