# SPDX-License-Identifier: Apache-2.0
"""Inspect all nodes at once: the probe, and the check of its answers. Private to the collection."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, fact_answers, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Call, Task
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Way

PROBE = "_probe.node_facts:node_info"
# What may hang has a deadline of its own on the node, and the agent enforces one for the whole probe; after this much
# longer, it is the agent that hangs.
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
) -> Dict[str, Seen]:
    """
    Probe all nodes.

    Args:
        request: See ``node_facts.ARGUMENTS``.
        told: Gets each node, and whether it answered.
        is_over: Whether the result is no longer awaited.
        own: What differs in the request of single hosts, by host.
    """
    seen: Dict[str, Seen] = {}
    begun = dict.fromkeys(hosts, 0.0)

    def take(host: str, answer: Answer) -> None:
        found = judge(agents.ways[host], answer, request["shared_paths"], begun[host])
        seen[host] = found
        told(host, found.facts is not None)

    seconds = runners.job_of(request["shape"]).probe_seconds
    if request.get("setup") or request.get("login_shell"):
        seconds += request["start_timeout"]

    def begin(host: str, _: Call) -> None:
        begun[host] = time.time()
        agents.loop.after(seconds + _MORE_SECONDS, lambda: give_up(host))

    def give_up(host: str) -> None:
        if host not in seen:
            agents.give_up(host, "it did not answer in %g s" % (seconds + _MORE_SECONDS))

    for host in hosts:
        asked = {**request, **(own or {}).get(host, {})}
        agents.call(host, Task(PROBE, asked, partial(take, host), seconds, started=partial(begin, host)))
    while len(seen) < len(hosts) and not is_over():
        agents.loop.turn()
    return seen


def judge(way: Way, answer: Answer, paths: List[str], sent: float) -> Seen:
    """Return the facts of an answer if they are what the probe gives, otherwise why there are none."""
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
