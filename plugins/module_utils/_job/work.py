# SPDX-License-Identifier: Apache-2.0
"""
Conduct a launch inside a scheduler's job; any scheduler is represented by a ``Site``.

    request ──► agents dial in ──► probe ──► plan ──► prove, arm ──► go ──► follow ──► result

Once all agents have dialled in, everything works as in a launch over any other way. Private to the
collection.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    codes,
    events,
    exit_codes,
    job_directory,
    job_signals,
    run_directory,
    runners,
    wire,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import timing
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._job import attempt, looking
from ansible_collections.madctl.multinode.plugins.module_utils._job.progress import Progress
from ansible_collections.madctl.multinode.plugins.module_utils._job.site import Arguments, Result, Site
from ansible_collections.madctl.multinode.plugins.module_utils._request import launch_request, validation
from ansible_collections.madctl.multinode.plugins.module_utils._show import plan_text
from ansible_collections.madctl.multinode.plugins.module_utils._ways.dialled import Dialled

_ASK_SECONDS = 10.0
_TELL_SECONDS = 3.0
_SHOW_SECONDS = 0.5
_STOPPED = codes.problem("RUN_STOPPED", None, "stopped on request")
_ENDED = codes.problem("RUN_STOPPED", None, "the scheduler ended the job")


class Work:
    """One job, from its request to its result."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._loop = Loop()
        self._progress = Progress()
        self._is_due = False
        self._conductor: Optional[Conductor] = None
        self._stage = "starting"
        self._order: Optional[bytes] = None
        self._is_ended = False

    @property
    def is_ordered(self) -> bool:
        """Whether the user had it stopped."""
        return self._order is not None

    @property
    def began(self) -> Optional[float]:
        """When ranks were first started, in seconds since the epoch."""
        began: Optional[float] = self._progress.shown()["began"]
        return began

    def ended(self, host: str) -> Optional[Dict[str, Any]]:
        """Return how a node's part of the run ended; None while it has not."""
        node = self._progress.shown()["nodes"].get(host, {})
        return {**node["exit"], "ranks_joined": node["joined"]} if node.get("exit") else None

    # -- orders ---------------------------------------------------------------------------------

    def _listen(self, conductor: Conductor) -> None:
        """Obey signals of the scheduler and orders of the user."""
        self._conductor = conductor
        wake, waker = os.pipe()
        for descriptor in (wake, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker)
        for number in (signal.SIGTERM, signal.SIGURG, *job_signals.FOR_RANKS):
            signal.signal(number, lambda *_: None)

        def on_signal() -> None:
            numbers = os.read(wake, 64)
            # The scheduler may send two at the same time: the second one is not an order to kill.
            if signal.SIGTERM in numbers and not self._is_ended:
                self._is_ended = True
                if not conductor.interrupted:
                    conductor.interrupt(_ENDED)
            for number in job_signals.FOR_RANKS:
                if number in numbers:
                    conductor.signal_ranks(number)
            self._look()

        self._loop.watch(wake, on_signal)
        self._beat()
        self._look_again()

    def _look(self) -> None:
        """Look for an order of the user, and obey a new one."""
        order = self._site.order()
        if order is None or order == self._order or self._conductor is None:
            return
        self._order = order
        if not self._conductor.interrupted:
            self._conductor.interrupt(_STOPPED)
        if order == wire.KILL:
            self._conductor.orders.kill()

    def _look_again(self) -> None:
        """Look for orders without being signalled: a bell may have been missed, or there is none."""
        self._look()
        self._loop.after(self._site.order_seconds, self._look_again)

    def _beat(self) -> None:
        """Show that this is alive, for those who cannot query it."""
        self._show()
        self._loop.after(job_directory.BEAT_SECONDS, self._beat)

    def _show_soon(self) -> None:
        """Show what an event has changed, together with all other changes of the next moment."""
        if not self._is_due:
            self._is_due = True
            self._loop.after(_SHOW_SECONDS, self._show)

    def _show(self) -> None:
        self._is_due = False
        with contextlib.suppress(OSError):
            self._site.show(self._stage, self._progress.shown())

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self._show()

    def _kept(self, event: Dict[str, Any]) -> Dict[str, Any]:
        """Keep the plan of a restart; return the event without secrets."""
        if event["event"] != events.RESTART:
            return event
        plan = {**plan_text.outline(event["plan"]), "restarts": event["attempt"]}
        with contextlib.suppress(OSError):
            self._site.replan(plan)
        return {**event, "plan": plan}

    def _end_with(self, event: Dict[str, Any]) -> None:
        """End a run if the scheduler has ended one node's part and notified only that node."""
        conductor = self._conductor
        was_told = event.get("stopped") and event.get("reason") == run_directory.Reason.STOPPED
        if was_told and conductor is not None and not conductor.orders.stopping:
            conductor.interrupt(
                codes.problem("RUN_STOPPED", event.get("host"), "the scheduler ended its part of the run")
            )

    # -- the flow -------------------------------------------------------------------------------

    def run(self) -> Result:
        """
        Run the job, from the arrival of agents to the result.

        Raises:
            SiteError: If agents cannot dial in.
        """
        site, given = self._site, self._site.given
        parsed, problems = validation.parsed(given["arguments"])
        filled = launch_request.filled(parsed)
        arguments = {**site.arguments(filled), "code": given.get("code")}
        story = site.story(arguments["log_cap"])

        def tell(event: Dict[str, Any], payload: bytes) -> None:
            event = self._kept(event)
            self._progress.take(event)
            if self._site.ends_parts and event["event"] == events.EXIT:
                self._loop.after(0.0, lambda: self._end_with(event))
            if not payload:
                # Later readers of the story need times: events of nodes have their own, our findings do not.
                event = {"at": round(time.time(), 3), **event}
                self._show_soon()
            story.tell(event, payload)

        try:
            with site.door(self._loop) as door:
                ways = {host: Dialled(host, site.python, door) for host in site.hosts}
                with Agents(self._loop, dict(ways), timing.Clock("agents, probe", timing.is_wanted())) as agents:
                    conductor = Conductor(agents, tell)
                    self._listen(conductor)
                    with site.arrivals(door) as arrivals:
                        self._enter("waiting for agents")
                        problems = problems or arrivals.wait(given["agents_seconds"], lambda: conductor.is_over)
                        result = self._found(conductor, agents, arguments, problems)
                        if not filled["run_dir"] and "summary" in result:
                            left = site.leave(agents, arguments["run_dir"], result, story, self._is_ended)
                            result.update({} if left is None else {"left": left})
                        result["trouble"] = story.trouble
                        result = self._by_scheduler(result)
                        conductor.tell_times()
        finally:
            story.close()
        self._enter("ended")
        return result

    def _found(
        self, conductor: Conductor, agents: Agents, arguments: Arguments, problems: List[codes.Problem]
    ) -> Result:
        result = failed(problems)
        if self._site.given.get("only") == job_directory.ONLY_CHECK:
            self._enter("checking")
            return {**result, **looking.check(conductor, arguments, self._site.hosts, problems)}
        return result if problems else self._launch(conductor, agents, arguments)

    def _by_scheduler(self, result: Result) -> Result:
        """Report whether the scheduler ended the job: it notifies the ranks first, and us later."""
        if attempt.may_be_ended(result) and self._order is None:
            self._loop.until(lambda: self._is_ended or self._site.ends_parts, _TELL_SECONDS)
            self._is_ended = self._is_ended or self._site.is_ending()
            result = {**result, **(failed([_ENDED]) if self._is_ended else {}), "restarts": result["restarts"]}
            return {**result, "by_scheduler": self._is_ended or self._site.ends_parts}
        return {**result, "by_scheduler": False}

    def _launch(self, conductor: Conductor, agents: Agents, arguments: Arguments) -> Result:
        self._enter("checking")
        judged = looking.judged(conductor, arguments, self._site.hosts, in_full=False)
        if conductor.is_over:
            return failed([conductor.interrupted or _ENDED])
        if judged.plan is None:
            found = [*judged.problems, *conductor.prove(judged.proof, judged.left_out)]
            # As an action reports it: ``checks`` means that nothing was started.
            return {**failed(found), "checks": {}, "warning_list": judged.warnings}
        self._enter("running")
        result = conductor.start(self._bounded(judged.plan), {**_given(arguments), "samples": self._site.samples})
        return {**result, "error": None if conductor.is_over else _error(agents, result)}

    def _bounded(self, plan: Plan) -> Plan:
        """Make ranks end before the scheduler kills them and us."""
        has_models = runners.job_of(plan["shape"], plan["runner"]).has_models
        plan["grace"] = min(plan["grace"], max(1.0, self._site.grace(plan["grace"], has_models)))
        return plan


def any_address() -> str:
    """Return the address that stands for all addresses of this machine."""
    import socket

    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  who dials has to know the key


def _given(arguments: Arguments) -> Dict[str, Any]:
    given = {name: arguments[name] or None for name in ("timeout", "idle_timeout", "name", "note")}
    return {**given, "user_env": arguments["env"], "log_cap": arguments["log_cap"], "detach": False, "in_step": True}


def _error(agents: Agents, result: Result) -> Optional[str]:
    """Ask the node that failed first for the line of its logs that names the error."""
    host = result["problems"][0]["host"] if result["problems"] else None
    places = {node["host"]: node["run_dir"] for node in result["summary"]["nodes"] if node["host"] == host}
    asked = {name: {"run_id": result["run_id"], "run_dir": place} for name, place in places.items()}
    answers = agents.ask(asked, "_runs.run_state:look", _ASK_SECONDS) if asked else {}
    return next((answer.get("error") for answer in answers.values() if "state" in answer), None)


def failed(problems: List[codes.Problem]) -> Result:
    """Return the result of a run that failed before its start."""
    return {"problems": problems, "exit_code": int(codes.exit_code(problems)), "detached": False, "restarts": []}


def broken(error: Exception, remedy: str) -> Result:
    """Print an error of our own, and return a result that reports it."""
    import traceback

    traceback.print_exc()
    found = codes.problem("INTERNAL", None, "%s: %s" % (type(error).__name__, error), remedy)
    return {**failed([found]), "exit_code": int(exit_codes.ExitCode.INTERNAL)}
