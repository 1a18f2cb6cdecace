# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the proof round alone: for a check, and for a launch that is refused before it arms anything."""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Proof, Written
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import fan_out, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.way import Ways

_MODULES = remote_program.parts("_arm.prove")
_RELEASE = remote_program.parts("_node.mount_table")

# What nodes do is bounded by itself; these are for a node that stops doing anything.
PROOF_SECONDS, RELEASE_SECONDS = 20.0, 8.0


def request(proof: dict[str, Proof], host: str, news: dict[str, Any]) -> Proof:
    """
    Write what a node is asked: its part, all other nodes' addresses, and the ports that the head listens on.

    Without any there is nothing to connect to. A plan of many nodes does not hold the addresses for each of them.
    """
    own: Proof = {**proof[host]}
    if own.get("routes"):
        sources = (other["routes"]["source"] for name, other in proof.items() if name != host and other.get("routes"))
        own["routes"] = {**own["routes"], "to": list(sources)}
    connect, ports = own.get("connect"), news.get("listening", [])
    if connect:
        own["connect"] = {**connect, "ports": ports} if ports else None
    return own


def is_due(wanted: Proof) -> bool:
    """Tell whether a node has anything to prove or to clean."""
    return any(wanted.get(key) for key in ("listen", "connect", "routes", "read", "written", "peers"))


def run(proof: dict[str, Proof], ways: Ways) -> dict[str, dict[str, Any]]:
    """Run the round and return what each node reported, by host; nodes with nothing to prove are left out."""
    due = {host: wanted for host, wanted in proof.items() if is_due(wanted)}
    results: dict[str, dict[str, Any]] = {}
    head = next((host for host, wanted in due.items() if "listen" in wanted), None)

    def program(host: str, news: dict[str, Any]) -> remote_program.Program:
        return remote_program.Program("prove", _MODULES, request(due, host, news), speaks=True)

    round_of_all = fan_out.Round(
        {host: ways[host] for host in due}, head, program, lambda host, answer: results.update({host: answer})
    )
    round_of_all.start()
    round_of_all.close(PROOF_SECONDS)
    release({host: wanted["written"] for host, wanted in due.items()}, ways)
    return results


def release(written: dict[str, list[Written]], ways: Ways) -> None:
    """Have the proof's files removed, now that everybody has read them."""
    due = {host: ways[host] for host, files in written.items() if files}

    def program(host: str, _: dict[str, Any]) -> remote_program.Program:
        return remote_program.Program("release", _RELEASE, written[host])

    round_of_all = fan_out.Round(due, None, program, lambda *_: None)
    round_of_all.start()
    round_of_all.close(RELEASE_SECONDS)
