# SPDX-License-Identifier: Apache-2.0
"""
Runs as their nodes know them, as opposed to their records on this machine.

Records on this machine are a cache: the answers of nodes suffice to write the record of a run again, once all of
its nodes are known.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from madctl.nodes.inventory import Targets, narrowed
from madctl.records import verdicts
from madctl.records.run_record import Record, sound


@dataclass(frozen=True)
class HeldRun:
    """One run, from the answers of its nodes; ``names`` has None for nodes that were not asked."""

    run_id: str
    parts: dict[str, dict[str, Any]]
    described: dict[str, Any] | None
    names: tuple[str | None, ...]

    @property
    def states(self) -> list[str]:
        """The different states on its nodes, in the order of the nodes."""
        return list(dict.fromkeys(part["state"] for part in self.parts.values()))

    @property
    def not_asked(self) -> list[str]:
        """The nodes of the run that were not asked, by their names at the launch."""
        hosts = self.described["hosts"] if self.described else []
        return [host for host, name in zip(hosts, self.names, strict=True) if name is None]

    def record(self, targets: Targets) -> Record | None:
        """Make the record that a launch would have written; None if not all nodes are known."""
        if not self.described or None in self.names:
            return None
        names = [str(name) for name in self.names]
        first = next(iter(self.parts.values()))["run_dir"]
        addresses = self.described.get("addresses") or [None] * len(names)
        nodes = [
            {
                "host": name,
                "node_rank": rank,
                "address": address,
                "run_dir": self.parts.get(name, {}).get("run_dir", first),
            }
            for rank, (name, address) in enumerate(zip(names, addresses, strict=True))
        ]
        reach = {"names": names, "inventory": narrowed(targets.inventory, names), "sources": list(targets.sources)}
        plan = {**self.described["plan"], "run_id": self.run_id, "nodes": nodes}
        created, work = float(self.described["created"]), self.described["work"]
        record = Record(self.run_id, created, work, reach, plan, name=self.name, note=self.described.get("note"))
        try:
            return sound(verdicts.updated(record, self.verdict, time.time()))
        except ValueError:
            return None  # Nodes are not trusted, so their answers are validated.

    @property
    def name(self) -> str | None:
        """The user's name for the run."""
        return self.described.get("name") if self.described else None

    @property
    def verdict(self) -> verdict.Verdict:
        """The state of the run, according to the nodes that were asked."""
        return verdict.of_parts(self.parts)


def held(nodes: dict[str, Any], targets: Targets) -> list[HeldRun]:
    """Combine the answers of nodes about their runs, oldest run first."""
    parts: dict[str, dict[str, dict[str, Any]]] = {}
    for host in targets.names:
        for run in nodes.get(host, {}).get("runs", []):
            parts.setdefault(run["run_id"], {})[host] = run
    return [_held(run_id, parts[run_id], targets.names) for run_id in sorted(parts)]


def _held(run_id: str, parts: dict[str, dict[str, Any]], asked: tuple[str, ...]) -> HeldRun:
    described = next((part["described"] for part in parts.values() if part["described"]), None)
    if described is None:
        return HeldRun(run_id, parts, None, ())
    by_rank: dict[int, str] = {}
    for host, part in parts.items():
        said = part["described"]
        if said and said["hosts"] == described["hosts"]:
            by_rank.setdefault(said["node_rank"], host)
    # A node may have been asked under another name than at the launch; if it has no part, only its old name is known.
    names: list[str | None] = []
    for rank, host in enumerate(described["hosts"]):
        name = by_rank.get(rank, host if host in asked else None)
        names.append(None if name in names else name)
    return HeldRun(run_id, parts, described, tuple(names))
