# SPDX-License-Identifier: Apache-2.0
"""A plan as text: in a few words, and whole, as ``--dry-run`` prints it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._words import unpack


def ranks(counts: Sequence[int]) -> str:
    """Write how many ranks there are as a sum of nodes with the same number, in the order that these appear."""
    return " + ".join(f"{counts.count(number)} × {number}" for number in dict.fromkeys(counts))


def show_plan(data: dict[str, Any]) -> None:
    """Print a plan: nodes × rank, then the exact command line and environment of every node."""
    width = max(4, *(len(node["host"]) for node in data["nodes"]))
    print(f"{'RANK':<6}{'HOST':<{width + 2}}{'ADDRESS':<17}{'INTERFACE':<17}PROCESSES")
    for node in data["nodes"]:
        line = f"{node['node_rank']:<6}{node['host']:<{width + 2}}{node['address']:<17}{node['interface']:<17}"
        print(f"{line}{node['nproc_per_node']}")
    for node in data["nodes"]:
        print(f"\n{node['host']}: cd {shlex.quote(node['cwd'])}")
        for name, value in node["env"].items():
            print(f"  {name}={shlex.quote(unpack(value))}")
        # What madengine gets says more than the name of the program that prepares it.
        words = (node.get("model") or node)["argv"]
        print(f"  {_command(words) or 'the daemon that mpirun asks for'}")
        if node.get("rank_argv"):
            print(f"  each rank: {_command(node['rank_argv'])}")


def _command(words: Sequence[Any]) -> str:
    return shlex.join(map(unpack, words))
