# SPDX-License-Identifier: Apache-2.0
"""A plan as text: in a few words, and whole, as ``--dry-run`` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined, quoted, unpack
from madctl.screen.terminal import say


def ranks(counts: Sequence[int]) -> str:
    """Write how many ranks there are as a sum of nodes with the same number, in the order that these appear."""
    return " + ".join(f"{counts.count(number)} × {number}" for number in dict.fromkeys(counts))


def show_plan(data: dict[str, Any]) -> None:
    """Print a plan: nodes × rank, then the exact command line and environment of every node."""
    rows: list[tuple[str, ...]] = [("RANK", "HOST", "ADDRESS", "INTERFACE", "PROCESSES")]
    fields = ("node_rank", "host", "address", "interface", "nproc_per_node")
    rows += [tuple(str(node[name]) for name in fields) for node in data["nodes"]]
    width = max(4, *(len(plain(row[1])) for row in rows))
    for rank, host, address, interface, processes in rows:
        say(f"{rank:<6}{plain(host):<{width + 2}}{address:<17}{interface:<17}{processes}")
    for node in data["nodes"]:
        say("", *_command_lines(node))


def _command_lines(node: dict[str, Any]) -> Iterator[str]:
    yield f"{node['host']}: cd {quoted(node['cwd'])}"
    for name, value in node["env"].items():
        yield f"  {name}={quoted(unpack(value))}"
    # What madengine gets says more than the name of the program that prepares it.
    words = (node.get("model") or node)["argv"]
    yield f"  {joined(words) or 'the daemon that mpirun asks for'}"
    if node.get("rank_argv"):
        yield f"  each rank: {joined(node['rank_argv'])}"
