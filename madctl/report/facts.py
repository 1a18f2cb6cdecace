# SPDX-License-Identifier: Apache-2.0
"""The facts for a report: plain data, gathered once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count
from madctl.errors import Problem
from madctl.records.run_record import Record
from madctl.records.run_story import Entry


@dataclass(frozen=True)
class Log:
    """The end of one log; ``rank`` is empty for the log of a runner or a command."""

    host: str
    rank: str
    stream: str
    lines: Sequence[str]
    is_cut: bool = False

    @property
    def source(self) -> str:
        """The node and rank that wrote the log."""
        return f"{self.host} rank {self.rank}" if self.rank else self.host

    @property
    def amount(self) -> str:
        """How much of the log is shown."""
        return f"{'last ' if self.is_cut else ''}{count(len(self.lines), 'line')}"


@dataclass(frozen=True)
class Facts:
    """
    Everything known about a run at one moment.

    ``run`` is the output of ``madctl status``; ``host`` and ``rank`` are those of the first failure. ``nodes`` are the
    answers of nodes by host. ``missing`` lists facts that are unavailable, and why.
    """

    record: Record
    run: Mapping[str, Any]
    now: float
    host: str | None = None
    rank: int | None = None
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    entries: Sequence[Entry] = ()
    logs: Sequence[Log] = ()
    missing: Sequence[Problem] = ()
    earlier: Sequence[Mapping[str, Any]] = ()
