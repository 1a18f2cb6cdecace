# SPDX-License-Identifier: Apache-2.0
"""
Channels to supervisors: how to come to one again, how an order goes into one.

Private to the collection.
"""

from __future__ import annotations

import socket
from typing import Any, Dict, List, Protocol

# A node takes an order at once, or not at all.
ORDER_SECONDS = 5.0


class Way(Protocol):
    """What is known of the way to a node, whatever carries it."""

    # For how long the node can be silent before its channel ends.
    silence_seconds: float

    def hint(self, host: str) -> str:
        """Say how to look at a host by hand, to stand behind a colon."""


class Links:
    """How to come back to a node; answers come later, by ``back``, ``alive`` and ``swept`` of the follower."""

    def look_for(self, host: str, position: Dict[str, Any]) -> None:
        """Look for a new channel that goes on at ``position``."""
        raise NotImplementedError

    def ask(self, host: str, peers: List[str]) -> None:
        """Ask other nodes whether one is alive."""
        raise NotImplementedError

    def sweep(self, host: str) -> None:
        """End what a supervisor left that was killed."""
        raise NotImplementedError


def prepare(channel: socket.socket) -> None:
    """Have a channel hold up nobody, whether its node reads or not."""
    channel.settimeout(ORDER_SECONDS)


def order(channel: socket.socket, what: bytes) -> None:
    """Send an order; a channel that does not take it ends, which who reads from it hears."""
    try:
        channel.sendall(what)
    except OSError:
        try:
            channel.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The other end was faster.
