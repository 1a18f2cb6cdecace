# SPDX-License-Identifier: Apache-2.0
"""
Runs as their nodes know them, beside what this machine remembers of runs.

The records here are a cache. What nodes say of a run is enough to write its record anew, once all of
its nodes are known.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from madctl.errors import ExitCode, Problem, RunError
from madctl.nodes import record_store
from madctl.nodes.inventory import GROUP, narrowed
from madctl.nodes.run_record import Record, sound
from madctl.options import Targets
from madctl.screen.lines import one_line

# How a host is reached: its name and everything that an inventory says of it. Two labs may both have a node1.
Way = tuple[str, str]


@dataclass(frozen=True)
class HeldRun:
    """One run, from all nodes that hold a share of it; ``names`` are None for nodes that were not asked."""

    run_id: str
    shares: dict[str, dict[str, Any]]
    described: dict[str, Any] | None
    names: tuple[str | None, ...]

    @property
    def states(self) -> list[str]:
        """The different states on its nodes, in the order of the nodes."""
        return list(dict.fromkeys(share["state"] for share in self.shares.values()))

    @property
    def not_asked(self) -> list[str]:
        """The nodes that the run has besides those that were asked, by the names that it was launched with."""
        hosts = self.described["hosts"] if self.described else []
        return [host for host, name in zip(hosts, self.names, strict=True) if name is None]

    def record(self, targets: Targets) -> Record | None:
        """Write down what a launch would have remembered; None where not all nodes are known."""
        if not self.described or None in self.names:
            return None
        names = tuple(str(name) for name in self.names)
        first = next(iter(self.shares.values()))["run_dir"]
        addresses = self.described.get("addresses") or [None] * len(names)
        nodes = [
            {
                "host": name,
                "node_rank": rank,
                "address": address,
                "run_dir": self.shares.get(name, {}).get("run_dir", first),
            }
            for rank, (name, address) in enumerate(zip(names, addresses, strict=True))
        ]
        reach = {"names": names, "inventory": narrowed(targets.inventory, names), "sources": targets.sources}
        plan = {**self.described["plan"], "run_id": self.run_id, "nodes": nodes}
        ended, code = self._ended(names)
        created, work = float(self.described["created"]), self.described["work"]
        record = Record(self.run_id, created, work, reach, plan, ended or "running", code)
        try:
            return sound(record)
        except ValueError:
            return None  # No node is trusted with what this machine writes down.

    def _ended(self, names: tuple[str, ...]) -> tuple[str | None, ExitCode | None]:
        from madctl.commands.status import exit_code, how_it_ended

        # A node that was asked by two names has one share.
        shares = [self.shares.get(name, {"exit": None}) for name in names]
        ended = how_it_ended(shares, len(names), (self.described or {})["plan"])
        return ended, exit_code(ended)


def hosts_given(options: argparse.Namespace) -> bool:
    """Tell whether the command line names nodes; a scheduler's allocation, or this machine, is not meant by silence."""
    named = (options.hosts, options.hostfile, options.inventory, options.limit, options.lab)
    return any(value is not None for value in named)


def held(nodes: dict[str, Any], targets: Targets) -> list[HeldRun]:
    """Put together what nodes said of the runs that they hold; the latest comes last."""
    shares: dict[str, dict[str, dict[str, Any]]] = {}
    for host in targets.names:
        for run in nodes.get(host, {}).get("runs", []):
            shares.setdefault(run["run_id"], {})[host] = run
    return [_held(run_id, shares[run_id], targets.names) for run_id in sorted(shares)]


def _held(run_id: str, shares: dict[str, dict[str, Any]], asked: tuple[str, ...]) -> HeldRun:
    described = next((share["described"] for share in shares.values() if share["described"]), None)
    if described is None:
        return HeldRun(run_id, shares, None, ())
    by_rank: dict[int, str] = {}
    for host, share in shares.items():
        said = share["described"]
        if said and said["hosts"] == described["hosts"]:
            by_rank.setdefault(said["node_rank"], host)
    # A node can have been asked by another name than at the launch; one that holds nothing has its old name only.
    names: list[str | None] = []
    for rank, host in enumerate(described["hosts"]):
        name = by_rank.get(rank, host if host in asked else None)
        names.append(None if name in names else name)
    return HeldRun(run_id, shares, described, tuple(names))


def ask(playbook: str, action: str, targets: Targets, variables: dict[str, Any]) -> dict[str, Any]:
    """
    Run a playbook that asks nodes once, and give what ``action`` returned.

    Raises:
        RunError: If Ansible ended without a result.
    """
    from madctl.playbook.engine import Engine

    found: dict[str, Any] = {}

    def on_task(name: str, _: str, result: dict[str, Any]) -> None:
        if name.endswith(action):
            found.update(result)

    with Engine(on_task, lambda *_: None) as engine:
        engine.run(playbook, targets, variables)
        if "nodes" not in found:
            cause = str(found.get("msg") or engine.failure or "it said nothing").rstrip(".")
            message = f"Ansible ended without a result: {one_line(cause)}"
            raise RunError(ExitCode.INTERNAL, Problem("INTERNAL", message, remedy="fix that, then try again"))
    return found


# -- all nodes of the remembered runs ----------------------------------------------------------------


@dataclass
class Group:
    """Nodes that one play can reach: the same sources and variables, and no name twice."""

    sources: tuple[str, ...]
    variables: dict[str, Any]
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    bases: dict[str, list[str]] = field(default_factory=dict)

    def targets(self) -> Targets:
        """Give the nodes as commands take them."""
        inventory = {"all": {"children": {GROUP: {"hosts": self.hosts, "vars": self.variables}}}}
        return Targets(tuple(self.hosts), narrowed(inventory, self.hosts), self.sources)

    def way(self, host: str) -> Way:
        """Name the way to a host."""
        return host, json.dumps([self.sources, self.variables, self.hosts[host]], sort_keys=True)

    def add(self, host: str, variables: dict[str, Any]) -> bool:
        """Take a host in, unless another one of that name is here."""
        return self.hosts.setdefault(host, variables) == variables

    def missing_source(self) -> str | None:
        """Name an inventory that has gone since, with a lab that was taken down, for example."""
        return next((path for path in self.sources if "," not in path and not os.path.exists(path)), None)


def groups(reaches: Iterable[Targets]) -> list[Group]:
    """Sort nodes of many requests into as few plays as can reach them all."""
    found: list[Group] = []
    for targets in reaches:
        for one in split(targets):
            fitting = [group for group in found if (group.sources, group.variables) == (one.sources, one.variables)]
            ((host, variables),) = one.hosts.items()
            if not any(group.add(host, variables) for group in fitting):
                found.append(one)
    return found


def split(targets: Targets) -> list[Group]:
    """Give every node of a request as a group of its own."""
    group = targets.inventory["all"]["children"][GROUP]
    return [
        Group(
            tuple(targets.sources),
            group["vars"],
            {host: {key: value for key, value in group["hosts"][host].items() if key != "madctl_node_rank"}},
        )
        for host in targets.names
    ]


def records() -> list[Record]:
    """Read all records that can be read."""
    return record_store.known()[0]
