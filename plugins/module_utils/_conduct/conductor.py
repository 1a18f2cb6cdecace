# SPDX-License-Identifier: Apache-2.0
"""
Conduct a launch: probe, plan, prove, arm, go, follow, independent of the ways to the nodes.

    conductor = Conductor(agents, tell)
    seen = conductor.probe(hosts, request)     ``judgement.judge`` plans from it
    conductor.prove(judged.proof)              a check ends here
    conductor.start(judged.plan, given)        prove, arm, go, follow; retried after some failures

No code here depends on Ansible, or on how a node is reached. This is the only stage that imports the others. Private to
the collection.
"""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, codes, events, runners, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan, Proof
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import arm_nodes, links, look, proving
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.sending import Sending
from ansible_collections.madctl.multinode.plugins.module_utils._follow import run_outcome
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower, Listener
from ansible_collections.madctl.multinode.plugins.module_utils._follow.orders import Orders
from ansible_collections.madctl.multinode.plugins.module_utils._plan import spare_nodes
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import storage
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks.proof import judge as judge_proof
from ansible_collections.madctl.multinode.plugins.module_utils._ways import kept

_INTERRUPTED = codes.problem("INTERRUPTED", None, "interrupted")

Result = Dict[str, Any]


class Conductor:
    """The work of one command on its nodes, which its user may interrupt at any time."""

    def __init__(self, agents: Agents, tell: Listener) -> None:
        """
        Prepare.

        Args:
            tell: Gets every event.
        """
        self.loop, self._agents, self._tell, self._clock = agents.loop, agents, tell, agents.clock
        # Orders before there is a follower; a follower has its own.
        self.orders = Orders(tell)
        self._follower: Optional[Follower] = None
        self._is_following = False
        self.sending: Optional[Sending] = None
        # Whether the reader of events accepts no more for now.
        self.is_held: Callable[[], bool] = lambda: False

    # -- orders of the user ---------------------------------------------------------------------

    @property
    def interrupted(self) -> Optional[codes.Problem]:
        """Why the run was stopped; None if it was not."""
        return self.orders.interrupted

    @property
    def detached(self) -> bool:
        """Whether the user has detached."""
        return self.orders.detached

    @property
    def is_over(self) -> bool:
        """Whether the steps before a start are no longer needed."""
        return self.detached or self.interrupted is not None

    def interrupt(self, reason: codes.Problem) -> None:
        """Stop gracefully; kill at the second call, detach at the third."""
        if self._is_following or not self.interrupted:
            self.orders.interrupt(reason)

    def signal_ranks(self, number: int) -> None:
        """Send a signal of the user's own to every rank, or to the command of every node, once they run."""
        if self._follower is None or not self.orders.has_gone:
            return
        plan = self._follower.plan
        counts = runners.job_of(plan["shape"], plan.get("runner")).counts_ranks
        message = {"signal": number, "to": "ranks" if counts else "runner"}
        for host in self.orders.channels:
            self.orders.give(host, json.dumps(message).encode() + b"\n")

    def follows(self) -> None:
        """Treat every interrupt from now on as one during following: the second kills, the third detaches."""
        self._is_following = True

    def detach(self) -> None:
        """Stop following; the run continues."""
        self.orders.detached = True

    def obey(self, order: bytes) -> None:
        """Carry out an order from the listener: stop, kill, or, for anything else, detach."""
        if order not in (wire.STOP, wire.KILL):
            self.detach()
        elif order == wire.STOP or not self.interrupted:
            self.interrupt(_INTERRUPTED)
        if order == wire.KILL:
            self.orders.kill()

    def tell(self, event: Dict[str, Any]) -> None:
        """Pass on an event that concerns the whole command."""
        self._tell(event, b"")

    def pass_on(self, event: Dict[str, Any], payload: bytes) -> None:
        """Pass on an event of another conductor, with its output."""
        self._tell(event, payload)

    def tell_times(self) -> None:
        """Report what a launch or a check cost, if the user asks for that."""
        stages = self._clock.stages()
        if stages:
            self.tell({"event": events.TIMED, "stages": stages, **self._agents.counted()})

    # -- the flow -------------------------------------------------------------------------------

    def probe(
        self,
        hosts: Sequence[str],
        request: Dict[str, Any],
        own: Optional[Mapping[str, Dict[str, Any]]] = None,
        code: Optional[Callable[[Agents], Sending]] = None,
    ) -> Dict[str, look.Seen]:
        """
        Inspect all nodes.

        Args:
            own: What differs in the requests of individual nodes.
            code: Creates the sender that first sends code to each of them.
        """

        def told(host: str, answered: bool) -> None:
            way = kept.dumped(self._agents.ways[host])
            self._tell({"event": events.PROBED, "host": host, "answered": answered, "way": way}, b"")

        sending = self.sending = code(self._agents) if code else None

        def is_over() -> bool:
            return self.is_over or sending is not None and sending.trouble is not None

        seen = look.at_all(self._agents, list(hosts), request, told, is_over, own, sending)
        if sending is not None:
            sending.end()
        if is_over():
            # No node will read the files that nodes wrote for the proof.
            written = {host: storage.written(found.facts) for host, found in seen.items() if found.facts}
            proving.release(written, self._agents)
        self._clock.begin("plan")
        return seen

    def prove(self, proof: Dict[str, Proof], skip: Sequence[str] = ()) -> List[codes.Problem]:
        """Prove on real sockets and files what a plan assumes, and return what is wrong with it."""
        self._clock.begin("prove")
        proved = proving.run(proof, self._agents, lambda: self.is_over)
        found = judge_proof(proving.due(proof), proved)
        return [entry for entry in found if catalog.CHECK_OF[entry["code"]] not in skip]

    def start(self, plan: Plan, given: Mapping[str, Any]) -> Result:
        """
        Arm all nodes, start all of them, and follow each to the end; restart after some failures.

        Args:
            given: ``user_env``, ``own_env`` by host, ``timeout``, ``idle_timeout`` in seconds, ``log_cap`` in bytes,
                ``detach``, ``name``, ``note``, ``in_step``, whether nodes belong to a scheduler's job.
        """
        restarts: List[Dict[str, Any]] = []
        began = 0.0
        while True:
            result = self._attempt(plan, given)
            began = began or time.monotonic() - result["summary"]["duration_seconds"]
            result["summary"]["duration_seconds"] = round(time.monotonic() - began, 3)
            result["restarts"] = restarts
            again = None if self.is_over else _again(plan, result, len(restarts) + 1)
            if again is None:
                return result
            plan, replaced = again
            restarts.append({"run_id": plan["run_id"], "replaced": replaced, "after": result["problems"][0]})
            told = {key: value for key, value in plan.items() if key not in ("restart", "proof")}
            restart = plan["restart"]
            assert restart is not None
            tried = {"attempt": len(restarts), "of": restart["most"], "after": result["problems"][0]}
            self._tell({"event": events.RESTART, **tried, "replaced": replaced, "plan": told}, b"")

    def _attempt(self, plan: Plan, given: Mapping[str, Any]) -> Result:
        self._clock.begin("prove, arm")
        follower = self.follow(plan)
        started = time.monotonic()
        links.Links(plan, self._agents, follower)
        seconds = float(plan["start_timeout"])
        with arm_nodes.Arming(plan, given, self._agents, follower) as arming:
            ready = follower.wait_ready(seconds)
            refusals = judge_proof(plan["proof"], arming.proof) if ready else []
            if ready and not refusals:
                started = time.monotonic()
                self._clock.begin("go to end")
                follower.go()
            else:
                follower.refuse(refusals)
                arming.cancel()
                follower.orders.stop()
            if given.get("detach") and ready and not refusals:
                follower.wait_started(seconds)
                if not any(run.failure for run in follower.runs):
                    follower.orders.detached = True
            follower.follow(given.get("idle_timeout"))
        # A supervisor has the proof's files removed; where none was armed, we do.
        unarmed = {node["host"] for node in plan["nodes"]} - arming.armed
        proving.release({host: plan["proof"][host]["written"] for host in unarmed}, self._agents)
        return result_of(follower, plan, time.monotonic() - started)

    def follow(self, plan: Plan, **how: bool) -> Follower:
        """Create the follower of a run, which takes the user's orders from now on."""
        follower = Follower(plan, self._tell, self.loop, self._agents.ways, **how)
        follower.is_held = self.is_held
        follower.orders.interrupted, follower.orders.detached = self.interrupted, self.detached
        self.orders, self._follower, self._is_following = follower.orders, follower, True
        return follower


def result_of(follower: Follower, plan: Plan, seconds: float) -> Result:
    """Return how a run ended, or that it continues without us."""
    problems, summary = run_outcome.judge(follower.runs, plan, follower.orders.interrupted)
    summary["duration_seconds"] = round(seconds, 3)
    problems = [] if follower.orders.detached else follower.refused or problems
    return {
        "summary": summary,
        # By this machine's clock, because the result may be read later.
        "ended": time.time(),
        "run_id": plan["run_id"],
        "detached": follower.orders.detached,
        "problems": problems,
        "exit_code": int(codes.exit_code(problems)) if problems else 0,
    }


def _again(plan: Plan, result: Result, number: int) -> Any:
    """Plan a restart if the failure may not happen again."""
    problems = result["problems"]
    if not problems or any(entry["code"] not in codes.RESTARTABLE for entry in problems):
        return None
    failures = {entry["host"]: entry["code"] for entry in reversed(problems) if entry["host"]}
    return spare_nodes.again(plan, failures, number)
