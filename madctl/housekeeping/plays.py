# SPDX-License-Identifier: Apache-2.0
"""The nodes of many requests, grouped into as few plays as possible."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from madctl.nodes.inventory import Targets, group_of, narrowed, of_group

# How a host is reached: its name and its variables from the inventory. Two labs may both have a node1.
Way = tuple[str, str]


@dataclass
class Group:
    """Nodes that one play can reach: the same sources and variables, and no name twice."""

    sources: tuple[str, ...]
    variables: dict[str, Any]
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def targets(self) -> Targets:
        """Return the nodes as commands take them."""
        inventory = narrowed(of_group(self.hosts, self.variables), self.hosts)
        return Targets(tuple(self.hosts), inventory, self.sources)

    def way(self, host: str) -> Way:
        """Return the way to a host."""
        return host, json.dumps([self.sources, self.variables, self.hosts[host]], sort_keys=True)

    def add(self, host: str, variables: dict[str, Any]) -> bool:
        """Add a host, unless another one has its name; return whether the host is in the group."""
        return self.hosts.setdefault(host, variables) == variables

    def missing_source(self) -> str | None:
        """Return an inventory that no longer exists, for example that of a removed lab; None if all of them exist."""
        return next((path for path in self.sources if "," not in path and not os.path.exists(path)), None)


def groups(reaches: Iterable[Targets]) -> list[Group]:
    """Group the nodes of many requests into as few plays as possible."""
    found: list[Group] = []
    for targets in reaches:
        for one in split(targets):
            fitting = [group for group in found if (group.sources, group.variables) == (one.sources, one.variables)]
            ((host, variables),) = one.hosts.items()
            if not any(group.add(host, variables) for group in fitting):
                found.append(one)
    return found


def split(targets: Targets) -> list[Group]:
    """Return a separate group for each node of a request."""
    group = group_of(targets.inventory)
    return [
        Group(
            tuple(targets.sources),
            group["vars"],
            {host: {key: value for key, value in group["hosts"][host].items() if key != "madctl_node_rank"}},
        )
        for host in targets.names
    ]
