# SPDX-License-Identifier: Apache-2.0
"""Run the proof alone: for a check, and for a launch that is refused before it arms anything."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Callable, Dict, List

from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Proof, Written
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.rounds import LISTENING, Round
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Task

# The functions on nodes bound their own time; these are for a node that hangs.
PROOF_SECONDS, RELEASE_SECONDS = 20.0, 8.0


def request(proof: Dict[str, Proof], host: str, news: Dict[str, Any]) -> Proof:
    """
    Write a node's request: its part, the addresses of all other nodes, and the ports that the head listens on.

    Without ports there is nothing to connect to. The addresses are not in the plan, where they would grow with the
    square of the number of nodes.
    """
    own: Proof = {**proof[host]}
    if own.get("routes"):
        sources = (other["routes"]["source"] for name, other in proof.items() if name != host and other.get("routes"))
        own["routes"] = {**own["routes"], "to": list(sources)}
    connect, ports = own.get("connect"), news.get(LISTENING, [])
    if connect:
        own["connect"] = {**connect, "ports": ports} if ports else None
    return own


def is_due(wanted: Proof) -> bool:
    """Return whether a node has anything to prove or to clean."""
    return any(wanted.get(key) for key in ("listen", "connect", "routes", "read", "written", "peers"))


def run(
    proof: Dict[str, Proof], agents: Agents, is_over: Callable[[], bool] = lambda: False
) -> Dict[str, Dict[str, Any]]:
    """
    Run the proof and return the report of each node, by host, except for nodes with nothing to prove.

    Args:
        is_over: Whether the result is no longer awaited.
    """
    due = {host: wanted for host, wanted in proof.items() if is_due(wanted)}
    results: Dict[str, Dict[str, Any]] = {}
    head = next((host for host, wanted in due.items() if "listen" in wanted), None)

    def task(host: str, news: Dict[str, Any]) -> Task:
        return Task("_arm.prove:prove", request(due, host, news), partial(results.__setitem__, host), PROOF_SECONDS)

    proving = Round(agents, due, head, task)
    proving.start()
    deadline = time.monotonic() + PROOF_SECONDS
    while proving.awaited and time.monotonic() < deadline and not is_over():
        agents.loop.turn(deadline - time.monotonic())
    if proving.awaited:
        proving.cancel()
    release({host: wanted["written"] for host, wanted in due.items()}, agents)
    return results


def release(written: Dict[str, List[Written]], agents: Agents) -> None:
    """Have the proof's files removed, after all nodes have read them."""
    due = {host: files for host, files in written.items() if files}
    agents.ask(due, "_node.mount_table:release", due.__getitem__, RELEASE_SECONDS)
