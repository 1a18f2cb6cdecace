# SPDX-License-Identifier: Apache-2.0
"""Format a plan as lines: nodes × rank, and what every node executes. Pure; private to the collection."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined, quoted, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold

_FIELDS = ("node_rank", "host", "address", "interface", "nproc_per_node")
_HEADER = ("RANK", "HOST", "ADDRESS", "INTERFACE", "PROCESSES")
_PART = re.compile("([ =',]+)")

# Command lines, which may contain the user's secrets, and fields that only a start needs.
_WORDS = ("env", "argv", "rank_argv", "model")
_FOR_START = ("proof", "restart", "hostfile", "work", "setup")


def outline(plan: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a plan that may be reported and kept, without anything that may contain secrets."""
    nodes = [{key: value for key, value in node.items() if key not in _WORDS} for node in plan["nodes"]]
    return {**{key: value for key, value in plan.items() if key not in _FOR_START}, "nodes": nodes}


def ranks(plan: Mapping[str, Any]) -> List[str]:
    """Format nodes × rank."""
    rows = [[node[name] for name in _FIELDS] for node in plan["nodes"]]
    return columns.aligned([_HEADER, *rows])


def whole(plan: Mapping[str, Any], hidden: Mapping[str, Any]) -> Iterator[str]:
    """
    Format nodes × rank, then what nodes execute: what all have in common once, then the differences per node.

    A difference that matches a column of the table is written as the name of that column.

    Args:
        hidden: Variables that nodes get besides those of the plan, with the values to show.
    """
    yield from ranks(plan)
    nodes = plan["nodes"]
    each = [{**_setup(plan), **_executed(node, hidden)} for node in nodes]
    named: List[str] = []
    shared = {name: _shared([own.get(name) for own in each], nodes, named) for name in each[0]}
    shared = {name: line for name, line in shared.items() if line is not None}
    if shared:
        who = "all nodes" if len(nodes) > 1 else nodes[0]["host"]
        of_table = ", each with its %s" % " and ".join(dict.fromkeys(named)) if named else ""
        yield from ("", "%s%s:" % (who, of_table), *("  %s" % line for line in shared.values()))
    blocks: Dict[Tuple[str, ...], List[str]] = {}
    for node, own in zip(nodes, each):
        blocks.setdefault(tuple(line for name, line in own.items() if name not in shared), []).append(node["host"])
    for lines, hosts in blocks.items():
        yield from ("", "%s:" % fold(hosts), *("  " + line for line in lines)) if lines else ()


def _executed(node: Mapping[str, Any], hidden: Mapping[str, Any]) -> Dict[str, str]:
    """Format what a node executes, each line with a name under which other nodes have theirs."""
    environment = {**hidden, **node["env"]}
    lines = {" directory": "cd %s" % quoted(node["cwd"])}
    lines.update((name, "%s=%s" % (name, quoted(unpack(value)))) for name, value in environment.items())
    lines[" command"] = argv(node) or "the daemon that mpirun asks for"
    if node.get("rank_argv"):
        lines[" rank"] = "each rank: " + joined(node["rank_argv"])
    return lines


def _setup(plan: Mapping[str, Any]) -> Dict[str, str]:
    """Format what runs before the job."""
    setup = plan.get("setup")
    if not setup:
        return {}
    shell = "a login shell" if setup["login"] else "a shell"
    return {" setup": "in %s: %s" % (shell, quoted(setup["text"])) if setup["text"] else "in %s" % shell}


def _shared(lines: Sequence[Optional[str]], nodes: Sequence[Mapping[str, Any]], named: List[str]) -> Optional[str]:
    """Format the lines of all nodes as one; None if they differ in more than columns of the table; record these."""
    parts = [_PART.split(line) for line in lines if line is not None]
    if len(parts) < len(nodes) or len(set(map(len, parts))) > 1:
        return None
    found, used = [], []
    for words in zip(*parts):
        alike = [name for name, key in zip(_HEADER, _FIELDS) if [str(node[key]) for node in nodes] == list(words)]
        if len(set(words)) > 1 and not alike:
            return None
        used += alike[:1] if len(set(words)) > 1 else []
        found.append(used[-1] if len(set(words)) > 1 else words[0])
    named += used
    return "".join(found)


def argv(node: Mapping[str, Any]) -> str:
    """Format the command line of a node; that of madengine is shown rather than our program that prepares it."""
    return joined((node.get("model") or node)["argv"])
