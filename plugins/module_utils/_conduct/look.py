# SPDX-License-Identifier: Apache-2.0
"""Inspect all nodes at once: the probe, and the check of its answers. Private to the collection."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, cast

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, fact_answers, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.sending import Sending
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Call, Task
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Way

PROBE = "_probe.node_facts:node_info"
# Steps that may hang have their own deadlines on the node, and the agent enforces one for the whole probe; if it takes
# this much longer, the agent itself hangs.
_MORE_SECONDS = 5.0


class Seen(NamedTuple):
    """The result of one node's probe: its facts, or why there are none."""

    facts: Optional[Facts] = None
    problem: Optional[codes.Problem] = None


def at_all(
    agents: Agents,
    hosts: List[str],
    request: Dict[str, Any],
    told: Callable[[str, bool], None],
    is_over: Callable[[], bool] = lambda: False,
    own: Optional[Mapping[str, Dict[str, Any]]] = None,
    sending: Optional[Sending] = None,
) -> Dict[str, Seen]:
    """
    Probe all nodes.

    Args:
        request: See ``node_facts.ARGUMENTS``; ``chdir`` is below the code that is sent.
        told: Gets each node and whether it answered.
        is_over: Whether the result is no longer needed.
        own: What differs in the requests of individual hosts, by host.
        sending: Sends code to each node before it is probed.
    """
    probes = _Probes(agents, request, own or {}, told)
    for host in hosts:
        if sending is None:
            probes.begin(host)
        else:
            sending.begin(host, partial(probes.stored, host), partial(probes.failed, host))
    while len(probes.seen) < len(hosts) and not is_over():
        agents.loop.turn()
    return probes.seen


class _Probes:
    """The probes of all nodes, and their results so far."""

    def __init__(
        self,
        agents: Agents,
        request: Dict[str, Any],
        own: Mapping[str, Dict[str, Any]],
        told: Callable[[str, bool], None],
    ) -> None:
        self._agents, self._request, self._own, self._told = agents, request, own, told
        self._seconds = runners.job_of(request["shape"]).probe_seconds
        if request.get("setup") or request.get("login_shell"):
            self._seconds += request["start_timeout"]
        self._sent: Dict[str, float] = {}
        self.seen: Dict[str, Seen] = {}

    def begin(self, host: str, code: Optional[Dict[str, Any]] = None, has_code: bool = True) -> None:
        """
        Probe a node; if it must not get the code yet, probe it as if it had it.

        Args:
            code: What differs in the request because of the code.
        """
        take = partial(self._take, host, has_code)
        request = {**self._request, **self._own.get(host, {}), **(code or {})}
        task = Task(PROBE, request, take, self._seconds, started=partial(self._begun, host))
        self._agents.call(host, task)

    def stored(self, host: str, place: Optional[str]) -> None:
        """Probe a node that has the code, or may not be sent it."""
        chdir = place and os.path.join(place, self._request["chdir"] or "")
        self.begin(host, {"chdir": chdir}, has_code=place is not None)

    def failed(self, host: str, problem: codes.Problem) -> None:
        """Record a node that does not have the code."""
        self._end(host, Seen(problem=problem))

    def _begun(self, host: str, _: Call) -> None:
        self._sent[host] = time.time()
        self._agents.loop.after(self._seconds + _MORE_SECONDS, lambda: self._give_up(host))

    def _give_up(self, host: str) -> None:
        if host not in self.seen:
            self._agents.give_up(host, "it did not answer in %g s" % (self._seconds + _MORE_SECONDS))

    def _take(self, host: str, has_code: bool, answer: Answer) -> None:
        found = judge(self._agents.ways[host], answer, self._request["shared_paths"], self._sent.get(host, 0.0))
        self._end(host, found if has_code or found.facts is None else Seen(_with_code(found.facts)))

    def _end(self, host: str, found: Seen) -> None:
        self.seen[host] = found
        self._told(host, found.facts is not None)


def _with_code(facts: Facts) -> Facts:
    """Return facts of a node as if it had the code, which contains what the job begins with on this machine."""
    known: Any = facts
    files, python = known["files"], known["python"]
    if files is not None:
        has_entry = None if files["entry_exists"] is None else True
        files = {**files, "chdir_exists": True, "entry_exists": has_entry, "entry_sha256": None, "program_fault": None}
    if python is not None:
        reports = {key: python[key] and {**python[key], "module": None} for key in ("wanted_report", "own_report")}
        python = {**python, **reports}
    return cast(Facts, {**known, "files": files, "python": python})


def judge(way: Way, answer: Answer, paths: List[str], sent: float) -> Seen:
    """Return the facts of an answer if they have the shape of a probe's, otherwise why there are none."""
    host, received = way.host, time.time()
    if "node" in answer:
        node = answer["node"]
        odd = fact_answers.odd_fact(node, paths)
        if odd is None:
            facts: Facts = fact_answers.dated(node, {"sent": sent, "received": received})  # type: ignore[assignment]
            return Seen(facts=facts)
        message = "its facts are invalid: %s" % odd
        return Seen(problem=codes.problem("PROBE_MALFORMED", host, message, hint=way.hint("HOST")))
    if "problem" in answer:
        return Seen(problem=answer["problem"])
    if answer.get("setup"):
        return Seen(problem=codes.setup_failed(host, str(answer.get("msg", ""))))
    message = "the node could not be inspected: %s" % " ".join(str(answer.get("msg", "")).split())[-300:]
    return Seen(problem=codes.problem("PROBE_FAILED", host, message, hint=way.hint("HOST")))
