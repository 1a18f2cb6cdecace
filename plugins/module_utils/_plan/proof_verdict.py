# SPDX-License-Identifier: Apache-2.0
"""Judge what the proof round reported. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import (
    Connecting,
    Listening,
    Proof,
    Routing,
)
from ansible_collections.madctl.multinode.plugins.module_utils._plan import shared_storage

_CONNECT = {
    "ECONNREFUSED": ("CONNECT_REFUSED", "is refused"),
    "ETIMEDOUT": ("CONNECT_FILTERED", "gets no answer"),
    "ENETUNREACH": ("CONNECT_NO_ROUTE", "finds no route"),
    "EHOSTUNREACH": ("CONNECT_NO_ROUTE", "finds no route"),
    "ELSEWHERE": ("CONNECT_ELSEWHERE", "reaches another machine"),
}
_NO_ANSWER = (
    "if its kernel or sandbox has no rtnetlink(7), --skip proof launches without proof of the network; else try again"
)


def judge(proof: Dict[str, Proof], results: Dict[str, Dict[str, Any]]) -> List[Problem]:
    """
    Judge the proof of all nodes.

    Args:
        proof: What each node was to prove, by host.
        results: What each node reported; ``msg`` where it did not get to an end.
    """
    found: List[Problem] = []
    ports = _ports(proof, results)
    for host, wanted in proof.items():
        result = results.get(host, {"msg": "it did not report"})
        if "msg" in result:
            found.append(problem("PROOF_FAILED", host, "the proof did not end: %s" % result["msg"]))
            continue
        missing = _missing(wanted, result, ports)
        if missing:
            message = "its answer lacks what it was to prove: %s" % ", ".join(missing)
            found.append(problem("PROOF_FAILED", host, message))
        if result.get("listen") and "listen" in wanted:
            found.append(_listening(host, wanted["listen"], result["listen"]))
        found += _ways(host, wanted, result)
        for name, address in result.get("peers", {}).items():
            found.append(problem("PEER_IS_LOOPBACK", host, "%s resolves to %s here" % (name, address)))
    answers = {host: results[host]["read"] for host in proof if "read" in results.get(host, {})}
    found += shared_storage.judge_reading(proof, answers)
    return found


def _ports(proof: Dict[str, Proof], results: Dict[str, Dict[str, Any]]) -> List[int]:
    """Give the ports that the first node listened on, 0 for one of its choice; none where it could not."""
    for host, wanted in proof.items():
        result = results.get(host, {})
        if "listen" in wanted and "msg" not in result and result.get("listen", "it did not say") is None:
            return wanted["listen"]["ports"]
    return []


def _missing(wanted: Proof, result: Dict[str, Any], ports: Sequence[int]) -> List[str]:
    """Name what a node was to prove and says nothing of, or not of all: silence is not a proof."""
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
    return problem(code, host, "cannot listen on %s port %s: %s" % (wanted["address"], ports or "any", error))


def _connecting(host: str, wanted: Connecting, tries: Sequence[Dict[str, Any]]) -> List[Problem]:
    failed = [entry for entry in tries if entry["error"]]
    if not failed:
        return []
    first = failed[0]
    code, how = _CONNECT.get(first["error"], ("CONNECT_FAILED", "fails (%s)" % first["error"]))
    message = "%s → %s port %d %s" % (wanted["source"], wanted["address"], first["port"], how)
    answered = [entry["port"] for entry in tries if not entry["error"]]
    if answered:
        message += ", port %d answers: NCCL needs all of them" % answered[0]
    return [problem(code, host, message)]


def _ways(host: str, wanted: Proof, result: Dict[str, Any]) -> List[Problem]:
    """Judge the connections to the first node and the routes to all; of two findings with one cause, name the cause."""
    connect, elsewhere = wanted.get("connect"), result.get("routes", {})
    failed = _connecting(host, connect, result.get("connect", [])) if connect else []
    if elsewhere is None:
        message = "the kernel did not say over which card its peers are reached"
        return failed + ([problem("PROOF_FAILED", host, message, _NO_ANSWER)] if wanted.get("routes") else [])
    if not _are_routes(elsewhere):
        return [problem("PROOF_FAILED", host, "its answer about routes cannot be meant")]
    elsewhere = dict(elsewhere)
    if connect and any(device and connect["address"] in addresses for device, addresses in elsewhere.items()):
        failed = []
    if failed:
        elsewhere.pop("", None)
    return failed + _routes(host, wanted.get("routes") or {}, elsewhere)


def _are_routes(value: Any) -> bool:
    """Tell whether it is what a proof says of routes: addresses by device."""
    return isinstance(value, dict) and all(
        isinstance(own, list) and own and all(isinstance(one, str) for one in own) for own in value.values()
    )


def _routes(host: str, wanted: Routing, elsewhere: Dict[str, List[str]]) -> List[Problem]:
    """Name the devices that packets to other nodes leave by instead of the chosen ones."""
    found = []
    for device, addresses in elsewhere.items():
        peers = addresses[0] + (" and %d more" % (len(addresses) - 1) if addresses[1:] else "")
        verb = "are" if addresses[1:] else "is"
        if not device:
            found.append(problem("CONNECT_NO_ROUTE", host, "%s finds no route to %s" % (wanted["source"], peers)))
            continue
        message = "%s %s reached over %s, not %s" % (peers, verb, device, ", ".join(wanted["devices"]))
        remedy = "fix the route there: ip route get %s from %s; or --interface %s" % (
            addresses[0],
            wanted["source"],
            device,
        )
        found.append(problem("ROUTE_ELSEWHERE", host, message, remedy))
    return found
