# SPDX-License-Identifier: Apache-2.0
"""
Write what every node has to prove before a start, and judge what the nodes reported. Pure; private to the collection.

The nodes also prove their storage and the names of their peers.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import of_errno
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import (
    Connecting,
    Listening,
    Proof,
    Routing,
)
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_choice
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import storage

_CONNECT = {
    "ECONNREFUSED": ("CONNECT_REFUSED", "connection refused"),
    "ETIMEDOUT": ("CONNECT_FILTERED", "no answer"),
    "ENETUNREACH": ("CONNECT_NO_ROUTE", "no route"),
    "EHOSTUNREACH": ("CONNECT_NO_ROUTE", "no route"),
    "ELSEWHERE": ("CONNECT_ELSEWHERE", "another machine answers"),
}
_NO_ANSWER = (
    "if its kernel or sandbox has no rtnetlink(7), --skip proof launches without proof of the network; otherwise retry"
)


def parts(case: Case, choices: Choices) -> Dict[str, Proof]:
    """Return every node's part of the proof by host: its storage, the names of its peers, and the network."""
    request = case.request
    reading = storage.reading(case.nodes, request.shared_fstypes) if request.wants("storage") else {}
    peers = sorted({fact["hostname"] for fact in case.facts})
    proof: Dict[str, Proof] = {
        host: {
            "read": reading.get(host, []),
            "written": storage.written(fact),
            "peers": [name for name in peers if name != fact["hostname"]] if request.wants("names") else [],
        }
        for host, fact in case.nodes
    }
    if choices.candidates and len(case.hosts) > 1 and request.wants("proof"):
        _add_network(proof, case, choices)
    return proof


def _add_network(proof: Dict[str, Proof], case: Case, choices: Choices) -> None:
    """Let the first node listen as planned, let all others connect to it, and let each query its routes."""
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


def judge(proof: Dict[str, Proof], results: Dict[str, Dict[str, Any]]) -> List[Problem]:
    """
    Judge the proof of all nodes.

    Args:
        proof: What each node had to prove, by host.
        results: What each node reported; ``msg`` if it did not finish.
    """
    found: List[Problem] = []
    ports = _ports(proof, results)
    for host, wanted in proof.items():
        result = results.get(host, {"msg": "it did not report"})
        if "msg" in result:
            found.append(problem("PROOF_FAILED", host, "the proof did not finish: %s" % result["msg"]))
            continue
        missing = _missing(wanted, result, ports)
        if missing:
            message = "its answer lacks what it had to prove: %s" % ", ".join(missing)
            found.append(problem("PROOF_FAILED", host, message))
        if result.get("listen") and "listen" in wanted:
            found.append(_listening(host, wanted["listen"], result["listen"]))
        found += _ways(host, wanted, result)
        for name, address in result.get("peers", {}).items():
            found.append(problem("PEER_IS_LOOPBACK", host, "%s resolves to %s here" % (name, address)))
    answers = {host: results[host]["read"] for host in proof if "read" in results.get(host, {})}
    found += storage.judge_reading(proof, answers)
    return found


def _ports(proof: Dict[str, Proof], results: Dict[str, Dict[str, Any]]) -> List[int]:
    """Return the ports that the first node listened on, 0 for a port of its choice; none if it could not listen."""
    for host, wanted in proof.items():
        result = results.get(host, {})
        if "listen" in wanted and "msg" not in result and result.get("listen", "it gave no reason") is None:
            return wanted["listen"]["ports"]
    return []


def _missing(wanted: Proof, result: Dict[str, Any], ports: Sequence[int]) -> List[str]:
    """Name what a node had to prove but did not report completely: silence does not prove anything."""
    tried = {entry["port"] for entry in result.get("connect", [])}
    lacks = {
        "listen": "listen" in wanted and "listen" not in result,
        "connect": "connect" in wanted and (len(tried) < len(ports) or not tried.issuperset(filter(None, ports))),
        "read": len(result.get("read", [])) != len(wanted["read"]) if wanted.get("read") else False,
        "peers": bool(wanted.get("peers")) and "peers" not in result,
        "routes": bool(wanted.get("routes")) and "routes" not in result,
    }
    return [name for name, is_lacking in lacks.items() if is_lacking]


def _listening(host: str, wanted: Listening, error: str) -> Problem:
    code = "PORT_IN_USE" if error == "EADDRINUSE" else "PORT_UNUSABLE"
    ports = " or ".join(str(port) for port in wanted["ports"] if port)
    return problem(code, host, "cannot listen on %s port %s: %s" % (wanted["address"], ports or "any", of_errno(error)))


def _connecting(host: str, wanted: Connecting, tries: Sequence[Dict[str, Any]]) -> List[Problem]:
    failed = [entry for entry in tries if entry["error"]]
    if not failed:
        return []
    first = failed[0]
    code, how = _CONNECT.get(first["error"], ("CONNECT_FAILED", "failed (%s)" % of_errno(first["error"])))
    message = "%s → %s port %d: %s" % (wanted["source"], wanted["address"], first["port"], how)
    answered = [entry["port"] for entry in tries if not entry["error"]]
    if answered:
        message += " (port %d works, NCCL needs every port)" % answered[0]
    return [problem(code, host, message)]


def _ways(host: str, wanted: Proof, result: Dict[str, Any]) -> List[Problem]:
    """Judge the connections to the first node and the routes to all; of two findings with one cause, name the cause."""
    connect, elsewhere = wanted.get("connect"), result.get("routes", {})
    failed = _connecting(host, connect, result.get("connect", [])) if connect else []
    if elsewhere is None:
        message = "the kernel did not report which card reaches its peers"
        return failed + ([problem("PROOF_FAILED", host, message, _NO_ANSWER)] if wanted.get("routes") else [])
    if connect and any(device and connect["address"] in addresses for device, addresses in elsewhere.items()):
        failed = []
    if failed:
        elsewhere = {device: addresses for device, addresses in elsewhere.items() if device}
    return failed + _routes(host, wanted.get("routes") or {}, elsewhere)


def _routes(host: str, wanted: Routing, elsewhere: Dict[str, List[str]]) -> List[Problem]:
    """Report the devices that packets to other nodes use instead of the chosen ones."""
    found = []
    for device, addresses in elsewhere.items():
        peers = addresses[0] + (" and %d more" % (len(addresses) - 1) if addresses[1:] else "")
        verb = "are" if addresses[1:] else "is"
        if not device:
            found.append(problem("CONNECT_NO_ROUTE", host, "no route from %s to %s" % (wanted["source"], peers)))
            continue
        message = "%s %s reached over %s, not %s" % (peers, verb, device, ", ".join(wanted["devices"]))
        remedy = "fix the route there: ip route get %s from %s; or --interface %s"
        found.append(problem("ROUTE_ELSEWHERE", host, message, remedy % (addresses[0], wanted["source"], device)))
    return found
