# SPDX-License-Identifier: Apache-2.0
"""
Channels to supervisors: what one takes, and how to come to one again.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Protocol


class Way(Protocol):
    """What is known of the way to a node, whatever carries it."""

    # For how long the node can be silent before its channel ends.
    silence_seconds: float

    def hint(self, host: str) -> str:
        """Say how to look at a host by hand, to stand behind a colon."""


class Channel(Protocol):
    """The way into one supervisor; what comes out of it is for ``heard`` and ``ended`` of the follower."""

    def give(self, data: bytes) -> None:
        """Send an order or a message; this never waits."""

    def drop(self) -> None:
        """End it; nothing more is heard of it."""


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
