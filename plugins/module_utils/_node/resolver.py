# SPDX-License-Identifier: Apache-2.0
"""Ask a node's own resolver for names, as a job there would. Private to the collection."""

from __future__ import annotations

import socket
from typing import Dict, List


def loopback_names(names: List[str]) -> Dict[str, str]:
    """Resolve names and keep those that lead to loopback, with the address."""
    found = {}
    for name in names:
        addresses = resolve(name)
        if addresses and all(is_loopback(address) for address in addresses):
            found[name] = addresses[0]
    return found


def resolve(name: str) -> List[str]:
    """Ask the node's resolver for a name as a job would; empty when it does not know it."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []


def is_loopback(address: str) -> bool:
    """Tell whether an address leads back to the machine itself."""
    return address.startswith("127.") or address == "::1"
