# SPDX-License-Identifier: Apache-2.0
"""
Resolve ``@group`` with the user's ClusterShell files.

The ``groups.conf`` that ClusterShell itself installs runs a shell for every group, so it is ignored here. A command
runs only if the user's or the site's ``groups.conf`` names it, and only for a group with a valid name.
"""

from __future__ import annotations

import configparser
import os
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from ClusterShell.Defaults import config_paths
from ClusterShell.NodeSet import NodeSet, NodeSetException
from ClusterShell.NodeUtils import (
    GroupResolverConfig,
    GroupResolverError,
    GroupResolverIllegalCharError,
    GroupResolverSourceError,
    GroupSourceError,
    YAMLGroupLoader,
)

from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist, kinds

# A group in a YAML file may be of any type, and ClusterShell fails only when it uses it.
_OF_CONTENT = (AttributeError, TypeError, ValueError, RecursionError)
_ERRORS = (NodeSetException, GroupResolverError, GroupSourceError, configparser.Error, OSError, *_OF_CONTENT)


class _Groups(GroupResolverConfig):  # type: ignore[misc]
    """Asks sources only for groups with harmless names, even if one group refers to another."""

    def group_nodes(self, group: str, namespace: str | None = None) -> list[str]:
        if not hostlist.GROUP.fullmatch(group):
            raise GroupResolverIllegalCharError(f"{group!r} is not a name of a group")
        return list(super().group_nodes(group, namespace))


def nodes(text: str) -> list[str]:
    """
    List the nodes of ``@group`` or ``@source:group``.

    Raises:
        HostsError: If no file of the user has such a group; the message suggests a similar name.
        ValueError: If the group cannot be read.
    """
    try:
        found = [str(name) for name in NodeSet(text, resolver=resolver())]
    except GroupResolverSourceError as error:
        remedy = "define it in groups.conf or groups.d in ~/.config/clustershell"
        raise hostlist.HostsError("HOSTS_MALFORMED", f"{text} is not a group of ClusterShell", remedy) from error
    except _ERRORS as error:
        raise ValueError(repr(str(error))[1:-1]) from error
    if not found:
        raise hostlist.HostsError("HOSTS_EMPTY", f"{text} names no host", kinds.meant(text, _known()))
    return found


def _known() -> list[str]:
    """Return the groups of the default source, as users write them, if it can list them."""
    try:
        return [f"@{name}" for name in resolver().grouplist()]
    except _ERRORS:
        return []


@lru_cache(maxsize=1)
def resolver() -> GroupResolverConfig:
    """Build the resolver of groups, from a ``groups.conf`` of the user or the site, or from YAML files beside it."""
    own = [path for path in config_paths("groups.conf") if Path(path).resolve() not in _of_the_package()]
    found = _Groups(own)
    if not any(map(os.path.isfile, own)):
        for path in reversed(own):
            for file in sorted(Path(path).with_name("groups.d").glob("*.yaml")):
                _add(found, file)
    return found


def _of_the_package() -> set[Path]:
    files = metadata.files("ClusterShell") or []
    return {Path(str(file.locate())).resolve() for file in files if file.name == "groups.conf"}


def _add(found: GroupResolverConfig, file: Path) -> None:
    for source in YAMLGroupLoader(str(file)):
        if found.default_source_name is None:
            found.add_source(source)
            found.default_source_name = source.name
        elif source.name not in found.sources():
            found.add_source(source)
