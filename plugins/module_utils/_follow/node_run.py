# SPDX-License-Identifier: Apache-2.0
"""What a follower knows about one node of a run. Pure; private to the collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem


@dataclass
class NodeRun:
    """The state of one node; times are seconds, by the wall clock if they date a failure."""

    host: str
    node_rank: int
    clock_offset: float = 0.0
    ready: bool = False
    boot_id: Optional[str] = None
    started_at: Optional[float] = None
    # When its part began and ended, by our wall clock.
    began: Optional[float] = None
    ended: Optional[float] = None
    exit: Optional[Dict[str, Any]] = None
    # The ranks that the plan gives this node, if known, and those that joined.
    own: Optional[range] = None
    ranks: Set[int] = field(default_factory=set)
    failed_ranks: int = 0
    # When ranks of a model failed; the model's script decides what follows from that.
    rank_failures: List[Tuple[float, Problem]] = field(default_factory=list)
    failed_at: Optional[float] = None
    failure: Optional[Problem] = None
    # The rows of its table of models; None until it reports how the models ended.
    models: Optional[List[Dict[str, str]]] = None
    # Ranks whose program created its own world.
    apart: Dict[int, Dict[str, Any]] = field(default_factory=dict)
    # How far its events and logs were read, so that another channel can continue from there.
    seq: int = 0
    offsets: Dict[str, int] = field(default_factory=dict)
    # Since when it is suspected, when others were last asked about it, and whether they reach it; by a monotonic clock.
    suspected_at: Optional[float] = None
    asked_at: Optional[float] = None
    alive: Optional[bool] = None
    sweeping: bool = False
    left: List[str] = field(default_factory=list)

    @property
    def joined(self) -> int:
        """How many of its ranks joined."""
        return len(self.ranks)

    def may_have(self, rank: Optional[int]) -> bool:
        """Return whether a rank can belong to this node; a node does not report on the ranks of another."""
        return rank is None or self.own is None or rank in self.own

    @property
    def failure_code(self) -> Optional[str]:
        """The code of this node's failure, if it has one."""
        return self.failure["code"] if self.failure else None

    def date(self, told: float, now: float) -> float:
        """
        Convert a node's time, received now, to our clock.

        No event arrives before it happened. So an event that came faster than the answer to the probe, which may have
        been delayed on a busy machine, corrects the known offset of the node's clock.
        """
        self.clock_offset = max(self.clock_offset, told - now)
        return told - self.clock_offset

    def fail(self, at: float, found: Problem) -> None:
        """Record the earliest failure of this node, which is not always the first to arrive."""
        if self.failed_at is None or at < self.failed_at:
            self.failed_at, self.failure = at, found

    def fresh(self, header: Dict[str, Any], payload: bytes) -> bytes:
        """Return the part of a piece of a log that was not received before."""
        known, start = self.offsets.get(header["log"], 0), header["offset"]
        self.offsets[header["log"]] = max(known, start + len(payload))
        return payload[max(0, known - start) :]
