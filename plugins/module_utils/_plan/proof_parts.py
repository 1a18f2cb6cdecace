# SPDX-License-Identifier: Apache-2.0
"""Say what every node has to prove before a start; ``proof_verdict`` judges it. Pure; private to the collection."""

from __future__ import annotations

from typing import Dict

from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Proof
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_choice, shared_storage
from ansible_collections.madctl.multinode.plugins.module_utils._plan.choices import Case, Choices


def parts(case: Case, choices: Choices) -> Dict[str, Proof]:
    """Give every node's part of the proof by host: its storage, the names of its peers, and the network."""
    request = case.request
    reading = shared_storage.reading(case.nodes, request.shared_fstypes) if request.wants("storage") else {}
    peers = sorted({fact["hostname"] for fact in case.facts})
    proof: Dict[str, Proof] = {}
    for host, fact in case.nodes:
        proof[host] = {
            "read": reading.get(host, []),
            "written": shared_storage.written(fact),
            "peers": [name for name in peers if name != fact["hostname"]] if request.wants("names") else [],
        }
    if choices.candidates and len(case.hosts) > 1 and request.wants("proof"):
        _add_network(proof, case, choices)
    return proof


def _add_network(proof: Dict[str, Proof], case: Case, choices: Choices) -> None:
    """Have the first node listen where the plan says, all others connect to it, and each ask for its routes."""
    hosts, candidates = case.hosts, choices.candidates
    address, token = candidates[0].address, case.request.run_id
    proof[hosts[0]]["listen"] = {
        "address": address,
        "ports": ([choices.port] if choices.port else []) + [0],
        "token": token,
        "seconds": case.request.start_timeout,
    }
    for host, candidate in zip(hosts[1:], candidates[1:]):
        proof[host]["connect"] = {"address": address, "source": candidate.address, "token": token}
    for (host, fact), candidate in zip(case.nodes, candidates):
        proof[host]["routes"] = network_choice.routed(candidate, fact)
