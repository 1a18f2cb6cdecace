# SPDX-License-Identifier: Apache-2.0
"""
Conduct a launch inside of a scheduler's job, as a program on its first node: ``conduct DIRECTORY``.

The directory is on storage that all nodes share. It has the request, and gets the story of the run and its result, for
whoever follows from elsewhere. One srun starts an agent on every node; these dial in here, and from then on all is as
in a launch over any other way. Ends with the exit code of the run. Private to the collection.

    request ──► agents dial in ──► probe ──► plan ──► prove, arm ──► go ──► follow ──► result
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    codes,
    events,
    exit_codes,
    job_directory,
    job_signals,
    runners,
    wire,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import timing
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._job import attempt, files, leaving, looking
from ansible_collections.madctl.multinode.plugins.module_utils._job.agent_step import Step
from ansible_collections.madctl.multinode.plugins.module_utils._job.progress import Progress
from ansible_collections.madctl.multinode.plugins.module_utils._request import launch_request, validation
from ansible_collections.madctl.multinode.plugins.module_utils._show import plan_text
from ansible_collections.madctl.multinode.plugins.module_utils._ways import slurm
from ansible_collections.madctl.multinode.plugins.module_utils._ways.dialled import Dialled, Door

# After the order to end, the scheduler kills; what is left of that time is for records.
_RECORD_SECONDS = 5.0
# Containers do not end with a job, so they have to be removed before the kill: what is left is signalled, then killed.
_CONTAINER_SECONDS = 8.0
_ASK_SECONDS = 10.0
_CANCEL_SECONDS = 60.0
_TELL_SECONDS = 3.0
_SHOW_SECONDS = 0.5
_STOPPED = codes.problem("RUN_STOPPED", None, "stopped by madctl stop")
_ENDED = codes.problem("RUN_STOPPED", None, "the scheduler ended the job")

Result = Dict[str, Any]


class Work:
    """One job, from its request to its result."""

    def __init__(self, place: str) -> None:
        self._place = place
        # Where this attempt writes; only the first one writes into the job's directory itself.
        self.place = job_directory.of_attempt(place, slurm.restarts(os.environ))
        self.may_return = False
        self._loop = Loop()
        self._progress = Progress()
        self._is_due = False
        self._conductor: Optional[Conductor] = None
        self._stage = "starting"
        self._order: Optional[bytes] = None
        self._is_ended = False
        self._site = ""

    # -- orders ---------------------------------------------------------------------------------

    def _listen(self, conductor: Conductor) -> None:
        """Obey signals of the scheduler, and orders of the user."""
        self._conductor = conductor
        wake, waker = os.pipe()
        for descriptor in (wake, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker)
        for number in (signal.SIGTERM, signal.SIGURG, *job_signals.FOR_RANKS):
            signal.signal(number, lambda *_: None)

        def on_signal() -> None:
            numbers = os.read(wake, 64)
            # The scheduler sends two at once: a second one is not an order to kill.
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

    def _look(self) -> None:
        """Look for an order of the user, and obey a new one."""
        order = files.order(self._place)
        if order is None or order == self._order or self._conductor is None:
            return
        self._order = order
        if not self._conductor.interrupted:
            self._conductor.interrupt(_STOPPED)
        if order == wire.KILL:
            self._conductor.orders.kill()

    def _beat(self) -> None:
        """Show that this is alive, for those who cannot ask; a bell may have been missed."""
        self._show()
        self._look()
        self._loop.after(job_directory.BEAT_SECONDS, self._beat)

    def _show_soon(self) -> None:
        """Show what an event has changed, with all that others change in a moment."""
        if not self._is_due:
            self._is_due = True
            self._loop.after(_SHOW_SECONDS, self._show)

    def _show(self) -> None:
        self._is_due = False
        with contextlib.suppress(OSError):
            state = {"stage": self._stage, "time": time.time(), **self._progress.shown()}
            files.write(self.place, job_directory.STATE, state)

    def _kept(self, event: Dict[str, Any]) -> Dict[str, Any]:
        """Keep the plan of a restart for those who do not read the whole story; return what may be told of it."""
        if event["event"] != events.RESTART:
            return event
        plan = {**plan_text.outline(event["plan"]), "restarts": event["attempt"]}
        with contextlib.suppress(OSError):
            files.write(self.place, job_directory.PLAN, plan)
        return {**event, "plan": plan}

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self._show()

    # -- the flow -------------------------------------------------------------------------------

    def run(self) -> Tuple[Result, slurm.Job]:
        """
        Do all of it.

        Raises:
            RequestError: If there is no request.
            JobError: If this is no job.
        """
        job = slurm.job(os.environ)
        given = files.take_request(self._place)
        self.may_return = bool(given.get("requeue"))
        self._site = slurm.show("config")
        parsed, problems = validation.parsed(given["arguments"])
        filled = attempt.arguments(launch_request.filled(parsed), job.restarts)
        arguments = leaving.placed(filled, job.job_id)
        os.makedirs(self.place, 0o700, exist_ok=True)
        story = files.Story(self.place, arguments["log_cap"])

        def tell(event: Dict[str, Any], payload: bytes) -> None:
            event = self._kept(event)
            self._progress.take(event)
            if not payload:
                self._show_soon()
            story.tell(event, payload)

        try:
            with self._door(job.hosts) as door:
                ways = {host: Dialled(host, sys.executable, door) for host in job.hosts}
                with Agents(self._loop, dict(ways), timing.Clock("agents, probe", timing.is_wanted())) as agents:
                    conductor = Conductor(agents, tell)
                    self._listen(conductor)
                    with Step(self._place, door, len(job.hosts)) as step:
                        self._enter("waiting for agents")
                        problems = problems or step.wait(given["agents_seconds"], lambda: conductor.is_over)
                        result = _failed(problems)
                        if given.get("only") == job_directory.ONLY_CHECK:
                            self._enter("checking")
                            result.update(looking.check(conductor, arguments, job.hosts, problems))
                        elif not problems:
                            result = self._launch(conductor, agents, arguments, job.hosts)
                            if not filled["run_dir"] and "summary" in result:
                                about = arguments["run_dir"], result, story.whole, self._is_ended
                                result["left"] = leaving.leave(agents, self.place, *about)
                        result["trouble"] = story.trouble
                        result = self._by_scheduler(result)
                        conductor.tell_times()
        finally:
            story.close()
        self._enter("ended")
        return result, job

    def _by_scheduler(self, result: Result) -> Result:
        """Say whether the scheduler ended the job: it tells the ranks first, and us a moment later."""
        if attempt.may_be_ended(result) and self._order is None:
            self._loop.until(lambda: self._is_ended, _TELL_SECONDS)
            result = {**result, **(_failed([_ENDED]) if self._is_ended else {}), "restarts": result["restarts"]}
            return {**result, "by_scheduler": self._is_ended}
        return {**result, "by_scheduler": False}

    def _door(self, hosts: List[str]) -> Door:
        """Listen where nodes may dial: a site's firewall may let them reach no other ports."""
        ports = slurm.ports(self._site)
        try:
            return Door(self._loop, files.key(self._place), hosts, any_address(), ports)
        except OSError as error:
            message = "nodes cannot dial in to %s, ports %d to %d: %s" % (hosts[0], ports[0], ports[-1], error.strerror)
            raise slurm.JobError(message) from error

    def _launch(self, conductor: Conductor, agents: Agents, arguments: Dict[str, Any], hosts: List[str]) -> Result:
        self._enter("checking")
        judged = looking.judged(conductor, arguments, hosts, in_full=False)
        if conductor.is_over:
            return _failed([conductor.interrupted or _ENDED])
        if judged.plan is None:
            found = [*judged.problems, *conductor.prove(judged.proof, judged.left_out)]
            # As an action reports it: ``checks`` says that nothing was started.
            return {**_failed(found), "checks": {}, "warning_list": judged.warnings}
        self._enter("running")
        result = conductor.start(self._bounded(judged.plan), _given(arguments))
        return {**result, "error": None if conductor.is_over else _error(agents, result)}

    def _bounded(self, plan: Plan) -> Plan:
        """Have ranks end before the scheduler kills them and us."""
        seconds = slurm.kill_wait(self._site) - _RECORD_SECONDS
        if runners.job_of(plan["shape"], plan["runner"]).has_models:
            seconds -= _CONTAINER_SECONDS
        plan["grace"] = min(plan["grace"], max(1.0, seconds))
        return plan

    @property
    def is_ordered(self) -> bool:
        """Whether the user had it stopped."""
        return self._order is not None


def any_address() -> str:
    """Return the address that stands for all of this machine."""
    import socket

    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104  who dials has to know the key


def _given(arguments: Dict[str, Any]) -> Dict[str, Any]:
    given = {name: arguments[name] or None for name in ("timeout", "idle_timeout", "name", "note")}
    return {**given, "user_env": arguments["env"], "log_cap": arguments["log_cap"], "detach": False, "in_step": True}


def _error(agents: Agents, result: Result) -> Optional[str]:
    """Ask the node that failed first for the line of its logs that names the error."""
    host = result["problems"][0]["host"] if result["problems"] else None
    places = {node["host"]: node["run_dir"] for node in result["summary"]["nodes"] if node["host"] == host}
    asked = {name: {"run_id": result["run_id"], "run_dir": place} for name, place in places.items()}
    answers = agents.ask(asked, "_runs.run_state:look", _ASK_SECONDS) if asked else {}
    return next((answer.get("error") for answer in answers.values() if "state" in answer), None)


def _failed(problems: List[codes.Problem]) -> Result:
    return {"problems": problems, "exit_code": int(codes.exit_code(problems)), "detached": False, "restarts": []}


def _returns(job: slurm.Job) -> bool:
    """Return whether a job that the scheduler ends may be requeued."""
    return not slurm.is_final(slurm.show("job", job.job_id))


def main() -> None:
    """Conduct, write the result, and end with its exit code."""
    place = sys.argv[1]
    os.umask(0o077)
    work = Work(place)
    job: Optional[slurm.Job] = None
    try:
        result, job = work.run()
    except (files.RequestError, slurm.JobError) as error:
        result = _failed([codes.problem("NODE_NOT_READY", None, str(error))])
    except Exception as error:  # noqa: BLE001  whoever follows must learn of it
        import traceback

        traceback.print_exc()
        found = codes.problem("INTERNAL", None, "%s: %s" % (type(error).__name__, error), "see job.log")
        result = {**_failed([found]), "exit_code": int(exit_codes.ExitCode.INTERNAL)}
    os.makedirs(work.place, 0o700, exist_ok=True)
    files.write(work.place, job_directory.RESULT, result)
    if work.may_return and not (job is not None and result.get("by_scheduler") and _returns(job)):
        files.remove_request(place)
    if job is not None and work.is_ordered:
        # So that the scheduler's accounting says what happened; all is written, and nothing is left to end.
        command = slurm.cancel(job.job_id)
        # The signal may arrive before its program has ended, so it is held until it is waited for.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        with contextlib.suppress(OSError):
            subprocess.call(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            signal.sigtimedwait({signal.SIGTERM}, _CANCEL_SECONDS)
    sys.exit(result["exit_code"])
