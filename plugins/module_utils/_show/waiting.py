# SPDX-License-Identifier: Apache-2.0
"""Describe what a run waits for while it prints nothing, and choose which unfinished lines to write. Pure; private."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, runners
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count, fold

QUIET_SECONDS = 5.0  # before there is anything to report about silence
SNAPSHOT_SECONDS = 10.0


class Waiting:
    """Tracks how far a run has got, in ranks and nodes."""

    def __init__(self) -> None:
        self._sizes: Dict[str, int] = {}
        self._counts_ranks = False
        self._heard = 0.0
        self._again()

    def _again(self) -> None:
        self._joined: Dict[str, int] = {}
        self._started: Set[str] = set()
        self._over: Set[str] = set()
        self._ranks_over = 0
        self._is_stopping = False

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Take the plan."""
        self._sizes = {node["host"]: node.get("nproc_per_node") or 0 for node in plan.get("nodes", ())}
        self._counts_ranks = runners.job_of(plan.get("shape", ""), plan.get("runner")).counts_ranks
        self._again()

    def take(self, event: Mapping[str, Any], now: float) -> None:
        """Record an event."""
        kind, host = event["event"], event.get("host", "")
        if kind in (events.LOG, events.STARTED, events.JOINED):
            self._heard = now
        if kind == events.JOINED:
            self._joined[host] = self._joined.get(host, 0) + 1
        elif kind == events.RANK_EXIT:
            self._ranks_over += 1
        elif kind == events.STARTED:
            self._started.add(host)
        elif kind in (events.EXIT, events.LOST):
            self._over.add(host)
        elif kind == events.STOPPING:
            self._is_stopping = True
        elif kind == events.RESTART and event.get("plan"):
            self.begin(event["plan"])

    def line(self, now: float, written: float) -> str:
        """Return what the run waits for; nothing if there was output, or anything was written, a moment ago."""
        return self.text(now - self._heard) if now - max(self._heard, written) >= QUIET_SECONDS else ""

    def text(self, seconds: float) -> str:
        """Describe what the run waits for; nothing before the start and after the end."""
        alive = [host for host in self._sizes if host not in self._over]
        if not self._started or not alive:
            return ""
        if self._is_stopping:
            return "stopping, waiting for %s" % fold(alive)
        late = [host for host in alive if host not in self._started]
        if late:
            return "started on %d of %s, waiting for %s" % (len(self._started), self._nodes(), fold(late))
        silence = "no output for %s" % _duration(seconds)
        if not self._counts_ranks:
            return "running on %s, %s" % (count(len(alive), "node"), silence)
        size, joined = sum(self._sizes.values()), sum(self._joined.values())
        if joined < size:
            behind = [host for host in alive if self._joined.get(host, 0) < self._sizes[host]]
            return "%d of %s joined, waiting for %s" % (joined, count(size, "rank"), fold(behind or alive))
        return "%d of %s running, %s" % (max(0, joined - self._ranks_over), count(size, "rank"), silence)

    def _nodes(self) -> str:
        return count(len(self._sizes), "node")


class Snapshots:
    """Chooses which unfinished lines to write from time to time, if no line can be redrawn."""

    def __init__(self) -> None:
        self.due: Optional[float] = None  # when there may be something to write
        self._told: Set[Tuple[Tuple[str, str], str]] = set()

    def heard(self, now: float) -> None:
        """Record that there was output."""
        if self.due is None:
            self.due = now + SNAPSHOT_SECONDS

    def take(self, lines: Iterable[Tuple[Tuple[str, str], str]]) -> List[Tuple[Tuple[str, str], str]]:
        """Return the unfinished lines, each after its source, that have changed since the last time."""
        found, self.due = list(lines), None
        changed = [line for line in found if line not in self._told]
        self._told = set(found)
        return changed


def _duration(seconds: float) -> str:
    return "%d s" % seconds if seconds < 60 else "%d min" % (seconds // 60)
