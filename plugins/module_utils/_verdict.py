# SPDX-License-Identifier: Apache-2.0
"""Judge what the proof round reported. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils import _storage
from ansible_collections.madctl.multinode.plugins.module_utils._codes import Problem, problem

_CONNECT = {
    "ECONNREFUSED": ("CONNECT_REFUSED", "is refused"),
    "ETIMEDOUT": ("CONNECT_FILTERED", "gets no answer"),
    "ENETUNREACH": ("CONNECT_NO_ROUTE", "finds no route"),
    "EHOSTUNREACH": ("CONNECT_NO_ROUTE", "finds no route"),
    "ELSEWHERE": ("CONNECT_ELSEWHERE", "reaches another machine"),
}


def judge(proof: Dict[str, Dict[str, Any]], results: Dict[str, Dict[str, Any]]) -> List[Problem]:
    """
    Judge the proof of all nodes.

    Args:
        proof: What each node was to prove, by host.
        results: What each node reported; ``msg`` where it did not get to an end.
    """
    found: List[Problem] = []
    for host, wanted in proof.items():
        result = results.get(host, {"msg": "it did not report"})
        if "msg" in result:
            found.append(problem("PROOF_FAILED", host, "the proof did not end: %s" % result["msg"]))
            continue
        if result.get("listen") and "listen" in wanted:
            found.append(_listening(host, wanted["listen"], result["listen"]))
        if "connect" in wanted:
            found += _connecting(host, wanted["connect"], result.get("connect", []))
        for name, address in result.get("peers", {}).items():
            found.append(problem("PEER_IS_LOOPBACK", host, "%s resolves to %s here" % (name, address)))
    answers = {host: results[host]["read"] for host in proof if "read" in results.get(host, {})}
    found += _storage.judge_reading(proof, answers)
    return found


def _listening(host: str, wanted: Dict[str, Any], error: str) -> Problem:
    code = "PORT_IN_USE" if error == "EADDRINUSE" else "PORT_UNUSABLE"
    ports = " or ".join(str(port) for port in wanted["ports"] if port)
    return problem(code, host, "cannot listen on %s port %s: %s" % (wanted["address"], ports or "any", error))


def _connecting(host: str, wanted: Dict[str, Any], tries: Sequence[Dict[str, Any]]) -> List[Problem]:
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
