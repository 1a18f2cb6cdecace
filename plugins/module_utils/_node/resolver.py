# SPDX-License-Identifier: Apache-2.0
"""Resolve names on a node as a job on it would. Private to the collection."""

from __future__ import annotations

import socket
from typing import Dict, List

from ansible_collections.madctl.multinode.plugins.module_utils._common.addresses import is_loopback
from ansible_collections.madctl.multinode.plugins.module_utils._node import small_files

HOSTS = "/etc/hosts"
# At most this many names are resolved as a job would. All nodes resolve names at the same time, and all names would be
# too many for a name server; for the others, the hosts file is read, because a copied one is the usual cause.
MOST_RESOLVED = 32
_HOSTS_BYTES = 1 << 22


def loopback_names(names: List[str]) -> Dict[str, str]:
    """Return names that resolve to loopback, with the address; after the first ones only by the hosts file."""
    found = {}
    listed = _listed() if len(names) > MOST_RESOLVED else {}
    for number, name in enumerate(names):
        addresses = resolve(name) if number < MOST_RESOLVED else listed.get(name.lower(), [])
        if addresses and all(is_loopback(address) for address in addresses):
            found[name] = addresses[0]
    return found


def _listed() -> Dict[str, List[str]]:
    """Parse the hosts file, hosts(5), into addresses by name."""
    found: Dict[str, List[str]] = {}
    for line in (small_files.text(HOSTS, _HOSTS_BYTES) or "").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(name.lower(), []).append(address)
    return found


def resolve(name: str) -> List[str]:
    """Return the addresses of a name by the node's own resolver; empty if it is unknown to it."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []
