# SPDX-License-Identifier: Apache-2.0
"""Ask a node's own resolver for names, as a job there would. Private to the collection."""

from __future__ import annotations

import socket
from typing import Dict, List

from ansible_collections.madctl.multinode.plugins.module_utils._common.addresses import is_loopback

HOSTS = "/etc/hosts"
# So many names are resolved as a job would. All nodes ask for all names at once, which no name server is made for; a
# hosts file that was copied, the usual cause, is read for the others.
MOST_RESOLVED = 32
_HOSTS_BYTES = 1 << 22


def loopback_names(names: List[str]) -> Dict[str, str]:
    """Find names that lead to loopback, with the address: by the resolver, and by the hosts file beyond the first."""
    found = {}
    listed = _listed() if len(names) > MOST_RESOLVED else {}
    for number, name in enumerate(names):
        addresses = resolve(name) if number < MOST_RESOLVED else listed.get(name.lower(), [])
        if addresses and all(is_loopback(address) for address in addresses):
            found[name] = addresses[0]
    return found


def _listed() -> Dict[str, List[str]]:
    """Read the addresses of names in the hosts file; hosts(5)."""
    found: Dict[str, List[str]] = {}
    try:
        with open(HOSTS, encoding="utf-8", errors="replace") as stream:
            text = stream.read(_HOSTS_BYTES)
    except OSError:
        return found
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(name.lower(), []).append(address)
    return found


def resolve(name: str) -> List[str]:
    """Ask the node's resolver for a name as a job would; empty when it does not know it."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []
