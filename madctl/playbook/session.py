# SPDX-License-Identifier: Apache-2.0
"""One interactive run of a playbook: the playbook runs in a thread, signals go to the main thread."""

from __future__ import annotations

import contextvars
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import DETACH, KILL, STOP
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import is_forged
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import MARK
from madctl.errors import ExitCode, MadctlError, Problem, unexpected
from madctl.nodes import reach
from madctl.nodes.inventory import OWN_ENV, Targets, group_of
from madctl.playbook import EventListener, TaskListener, ask
from madctl.records import record_store, run_story
from madctl.records.run_record import Record
from madctl.result import to_problem
from madctl.screen import terminal
from madctl.screen.view import View


class Session:
    """What a check and a launch have in common: probe, judge, and stop on request."""

    playbook = "check"

    def __init__(self, nodes: Targets, wanted: dict[str, Any], view: View) -> None:
        self.nodes, self.wanted, self.view = nodes, wanted, view
        self.judged: dict[str, Any] | None = None
        self.verdict: dict[str, Any] | None = None
        self.interrupts = 0
        self.interrupted = False
        self.signal = signal.SIGINT
        self.failure: str | None = None
        self.broken: Problem | None = None
        self.said: dict[str, str] = {}
        self.ways: dict[str, Any] = {}
        self.diff = b""
        self.only_reads = False
        self.engine: Any = None
        self._order: bytes | None = None
        # Called after each event; it tells programs that import madctl that their run has started.
        self.heard: Callable[[dict[str, Any]], None] = lambda _: None
        self.hide: Callable[[list[str]], None] = lambda _: None  # variables of single nodes may be secret

    @property
    def plan(self) -> dict[str, Any] | None:
        """The plan, once there is one."""
        return self.judged.get("plan") if self.judged else None

    def run(self, takes_signals: bool = True) -> None:
        """
        Run the playbook to its end.

        Args:
            takes_signals: Whether it handles signals as orders; only the main thread can.
        """
        listeners = self._kept_up(self.on_task), self._kept_up(self.on_event)
        with self.player(*listeners) as engine:
            self.engine = engine
            if self._order:
                self.obey(self._order)
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(self._play,), daemon=True)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if takes_signals else ():
                signal.signal(number, self.on_signal)
            thread.start()
            while thread.is_alive():
                thread.join(0.2)
                if self.only_reads and self.view.reader_gone:
                    self.engine.stop(DETACH, leaving=True)
            self.failure = self.failure or engine.failure

    def player(self, on_task: TaskListener, on_event: EventListener) -> Any:
        """Return what runs the playbook and calls the listeners with tasks and events."""
        return ask.player(self.playbook, self.nodes, on_task, on_event)

    def _play(self) -> None:
        try:
            self.engine.run(self.playbook, self.nodes, self.wanted)
        except MadctlError as error:
            self.failure = str(error)
        except Exception as error:  # noqa: BLE001  a thread has no other way to report it
            terminal.trace(error)
            self.failure = unexpected(error).message

    def _kept_up(self, listener: Callable[..., None]) -> Callable[..., None]:
        """
        Wrap a listener so that an error in it neither ends the calling thread nor blocks later events.

        The run itself does not depend on madctl, whose listeners must still receive its end.
        """

        def listen(*news: Any) -> None:
            try:
                listener(*news)
            except Exception as error:  # noqa: BLE001  kept, and reported at the end
                terminal.trace(error)
                self.broken = self.broken or unexpected(error)

        return listen

    def on_signal(self, number: int, _: object) -> None:
        """Stop gracefully at the first Ctrl-C, kill at the second, detach at the third or at a hangup."""
        self.signal = signal.Signals(number)
        if number == signal.SIGINT:
            self.interrupts += 1
        self.obey(DETACH if number != signal.SIGINT else (STOP, KILL, DETACH)[min(self.interrupts, 3) - 1])

    def obey(self, order: bytes) -> None:
        """Stop the run, kill it, or detach from it, even if nothing has started yet."""
        self.interrupted, self._order = True, order
        if self.engine is None:
            return
        # Send it before printing: a blocked terminal must not delay it.
        sent = self.engine.stop(order, leaving=order == DETACH)
        self.view.interrupted(order)
        if not sent:
            self.engine.cancel()

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Process an event of a node, or of the conductor about all nodes."""
        if is_forged(event):
            return
        if event["event"] == events.PROBED:
            self.ways[event["host"]] = event["way"]
        if event["event"] == events.SYNCED:
            self.diff = payload
            self.view.on_event(event, b"")
        elif event["event"] == events.PLANNED:
            # The result of a dry run contains the whole plan, and may overtake this event, which contains its outline.
            if not (self.judged and self.judged.get("planned")):
                self.judged = event
            self.hide(event.get("hidden", []))
            self.view.judged([to_problem(entry) for entry in event["warnings"]])
            self.planned(event["without_ifconfig"])
        else:
            self.view.on_event(event, payload)
        self.heard(event)

    def planned(self, without_ifconfig: list[str]) -> None:
        """Process a plan, or the reason why there is none yet."""

    def on_task(self, action: str, host: str, result: dict[str, Any]) -> None:
        """Process the result of a task."""
        if ".multinode." in action and result.get("msg") and not result.get("problem") and "problems" not in result:
            self.failure = str(result["msg"])
        elif "failed" in result and result["failed"]:
            # Keep the last line of a package manager; the role tries another way, and the check decides.
            words = str(result.get("stderr") or result.get("msg") or "").strip().splitlines()
            self.said[host] = words[-1] if words else "it failed"
        if action.endswith(("multinode.rendezvous", "multinode.run_launch")) and "checks" in result:
            self.verdict = result
            self.view.judged([to_problem(entry) for entry in result.get("warning_list", [])])
            self.view.errors = [self._explained(to_problem(entry)) for entry in result.get("problems", [])]

    def _explained(self, problem: Problem) -> Problem:
        """Add why net-tools could not be installed, if that was tried."""
        if problem.code != "NET_TOOLS_MISSING" or problem.host not in self.said:
            return problem
        return replace(problem, message=f"{problem.message}; installing it: {self.said[problem.host]}")

    def check_code(self) -> ExitCode:
        """Return the exit code for problems before the start."""
        found = [problem.code for problem in self.view.errors]
        return codes.exit_code_of(found) if found else ExitCode.INTERNAL


class RunSession(Session):
    """A launch, or an attachment to one: a session that has a run with an end."""

    playbook = "launch"

    def __init__(self, nodes: Targets, wanted: dict[str, Any], view: View, record: Record | None = None) -> None:
        super().__init__(nodes, wanted, view)
        self.record = record
        # The typed options, as the record keeps them.
        self.typed: dict[str, Any] | None = None
        self.is_forgotten = False
        self._attached = record is not None
        self.final: dict[str, Any] | None = None
        self.keeper = run_story.Keeper(time.time())

    def run(self, takes_signals: bool = True) -> None:
        """Run the playbook to its end, and keep the run's story."""
        try:
            super().run(takes_signals)
        finally:
            self.keeper.close()

    @property
    def plan(self) -> dict[str, Any] | None:
        """The plan of the run, a new one or that of the record."""
        return self.record.plan if self.record and self.judged is None else super().plan

    @property
    def started(self) -> bool:
        """Whether anything was started."""
        spread = self.final.get("summary", {}).get("start_spread_seconds") if self.final else None
        # An attached session may end before all nodes reported their start.
        return self.final is not None and (self._attached or spread is not None)

    @property
    def detached(self) -> bool:
        """Whether the run continues without this session."""
        return bool(self.final and self.final.get("detached") and self.started)

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Process an event; record the new plan when a run is restarted."""
        if (self.keeper.reads or not self.only_reads) and run_story.is_kept(event) and not is_forged(event):
            # Events that are read from a job later carry their own times.
            now = None if self.record and self.record.job else time.time()
            self.keeper.take(self.view.masked(event), now)
        if event["event"] == events.RESTART and self.record and not is_forged(event):
            self.restarted(self.record, event["plan"])
        super().on_event(event, payload)

    def restarted(self, record: Record, plan: dict[str, Any]) -> None:
        """Record the nodes of a run that was restarted."""
        self.remember(record_store.restarted(record, plan))

    def planned(self, without_ifconfig: list[str]) -> None:
        """Record the run before anything starts."""
        if self.plan and not self.wanted.get("madctl_dry_run"):
            # Do this first, so that the run can be found even if madctl is killed now.
            ways = reach.keep(self.nodes, self.ways)
            name, note = self.wanted.get("madctl_name"), self.wanted.get("madctl_note")
            made = record_store.create(self.plan, self.nodes, self.wanted["madctl_work"], ways, name, note)
            self.remember(replace(made, typed=self.typed))
            problem = record_store.save_diff(self.plan["run_id"], self.diff)
            if problem:
                self.view.notice(problem)
        self.view.planned(self.plan, without_ifconfig)
        if self.record:
            self.view.called(self.record.run_id, self.record.name)

    def remember(self, record: Record) -> None:
        """Write the record of the run; if that fails, report once how to find the run again."""
        self.record = record
        problem = record_store.save(record)
        if problem and not self.is_forgotten:
            self.view.notice(problem)
        self.is_forgotten = problem is not None
        # The story of a job begins with its first attempt.
        self.keeper.begin(record.run_id, record.plan, 1 if record.job else record.attempts)

    def on_task(self, action: str, host: str, result: dict[str, Any]) -> None:
        """Process the result of a task, and the end of the run."""
        super().on_task(action, host, result)
        if result.get("planned"):
            self.judged = result
            for node in result["plan"]["nodes"]:
                # Plans never contain the user's variables; add them for the person who asked for the plan.
                node["env"] = {**self.wanted["madctl_env"], **node["env"], **self._own(node)}
        elif action.endswith(("run_launch", "run_logs")) and "exit_code" in result:
            # A result without an exit code says how the action ended, not how the run did.
            self.final = result
            if "checks" not in result:
                self.view.errors = [to_problem(entry) for entry in result.get("problems", [])]

    def _own(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return the variables that a host file sets for one node."""
        known = group_of(self.nodes.inventory)["hosts"].get(node["host"], {}).get(OWN_ENV, {})
        return {name: value for name, value in known.items() if node["env"].get(name) == MARK}
