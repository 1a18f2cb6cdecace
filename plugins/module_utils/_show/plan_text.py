# SPDX-License-Identifier: Apache-2.0
"""A plan as lines: nodes × rank, and what every node executes. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined, quoted, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns

_FIELDS = ("node_rank", "host", "address", "interface", "nproc_per_node")


# Command lines, and what a user may have written into them; and what only a start needs.
_WORDS = ("env", "argv", "rank_argv", "model")
_FOR_START = ("proof", "restart", "hostfile", "work")


def outline(plan: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a plan as it may be told and remembered, without what may contain secrets."""
    nodes = [{key: value for key, value in node.items() if key not in _WORDS} for node in plan["nodes"]]
    return {**{key: value for key, value in plan.items() if key not in _FOR_START}, "nodes": nodes}


def ranks(plan: Mapping[str, Any]) -> List[str]:
    """Write nodes × rank."""
    rows = [[node[name] for name in _FIELDS] for node in plan["nodes"]]
    return columns.aligned([("RANK", "HOST", "ADDRESS", "INTERFACE", "PROCESSES"), *rows])


def whole(plan: Mapping[str, Any], hidden: Mapping[str, Any]) -> Iterator[str]:
    """
    Write nodes × rank, then the exact command line and environment of every node.

    Args:
        hidden: Variables that nodes get besides those of the plan, with what is shown as their values.
    """
    yield from ranks(plan)
    for node in plan["nodes"]:
        yield from ("", "%s: cd %s" % (node["host"], quoted(node["cwd"])))
        environment = {**hidden, **node["env"]}
        yield from ("  %s=%s" % (name, quoted(unpack(value))) for name, value in environment.items())
        yield "  " + (argv(node) or "the daemon that mpirun asks for")
        if node.get("rank_argv"):
            yield "  each rank: " + joined(node["rank_argv"])


def argv(node: Mapping[str, Any]) -> str:
    """Write the command line of a node; that of madengine says more than the program that prepares it."""
    return joined((node.get("model") or node)["argv"])
