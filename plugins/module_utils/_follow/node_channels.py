# SPDX-License-Identifier: Apache-2.0
"""
Channels to supervisors: what one takes, and how to open one again.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Protocol


class Way(Protocol):
    """What a follower knows of the way to a node, whatever carries it."""

    # How long the node can be silent before its channel ends.
    silence_seconds: float

    def hint(self, host: str) -> str:
        """Return how to check a host by hand, for use after a colon."""


class Channel(Protocol):
    """The way into one supervisor; its output goes to ``heard`` and ``ended`` of the follower."""

    def give(self, data: bytes) -> None:
        """Send an order or a message; this never waits."""

    def drop(self) -> None:
        """End it; nothing more comes from it."""


class Links(Protocol):
    """How to return to a node; answers come later, by ``back`` of the follower, ``alive`` and ``swept`` of suspects."""

    def look_for(self, host: str, position: Dict[str, Any]) -> None:
        """Look for a new channel that continues at ``position``."""

    def ask(self, host: str, peers: List[str]) -> None:
        """Ask other nodes whether one is alive."""

    def sweep(self, host: str) -> None:
        """End what a killed supervisor left behind."""
