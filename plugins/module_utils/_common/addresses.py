# SPDX-License-Identifier: Apache-2.0
"""IP addresses as texts. Pure; private to the collection."""

from __future__ import annotations

import socket
from typing import Any

# The variable with a node's own address on the channel of an agent that dials in.
CAME_IN_BY = "MADCTL_CAME_IN_BY"


def is_address(value: Any) -> bool:
    """Return whether a value is the text of an IP address, which IPv6 may end with a zone."""
    from ipaddress import ip_address  # Slow to import, and nodes do not need it.

    try:
        return type(value) is str and len(value) < 64 and bool(ip_address(value))
    except ValueError:
        return False


def family(address: str) -> socket.AddressFamily:
    """Return the family of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def is_loopback(address: str) -> bool:
    """Return whether an address leads back to the machine itself."""
    return address.startswith("127.") or address == "::1"
