# SPDX-License-Identifier: Apache-2.0
"""
A session that runs in a thread of its own, so that no call takes the signals of the process.

The thread does everything that starts a run. Ctrl-C reaches only the caller that waits for it, so it never cuts a start
in two: it becomes an order, as it does on the command line.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import os
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import DETACH
from madctl.errors import MadctlError, Problem, unexpected
from madctl.playbook.session import RunSession, Session
from madctl.records.run_record import Record
from madctl.result import Result
from madctl.screen import terminal

_LEAVING_SECONDS = 10.0  # for all runs together, when Python ends

_living: weakref.WeakSet[Following] = weakref.WeakSet()


class Following:
    """Work in a thread: it opens a session, runs it, and makes a result of it."""

    def __init__(self, work: Callable[[Following], Result | None], shows: bool = False) -> None:
        """
        Prepare.

        Args:
            work: Gets this object, and has it run a session; returns what came of it, or None if nothing is followed.
            shows: Whether to print as the command line does.
        """
        self._work, self._shows = work, shows
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._hosts: set[str] = set()
        # Orders that came before there was a session: signals, as the command line notes them.
        self.noted: list[int] = []
        self.record: Record | None = None
        # What was noticed before there was a session.
        self.notices: tuple[Problem, ...] = ()
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.has_started = False
        self._started, self._ended = threading.Event(), threading.Event()

    # -- for the caller ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        context = contextvars.copy_context()
        _living.add(self)
        threading.Thread(target=context.run, args=(self._run,), daemon=True, name="madctl-run").start()

    @property
    def is_here(self) -> bool:
        """Whether its thread is in this process, and not in the one that this was forked from."""
        return self._pid == os.getpid()

    @property
    def is_running(self) -> bool:
        """Whether it follows a run here that has started and not ended."""
        return self.is_here and self.has_started and not self._ended.is_set()

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What was noticed so far, without secrets."""
        view = self._session.view if self._session else None
        return (*self.notices, *(view.masked(view.warnings) if view else ()))

    def wait_started(self) -> None:
        """Wait until all nodes have started, or it has ended."""
        self._started.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end; return whether it has come."""
        return self._ended.wait(timeout)

    def give_up(self) -> None:
        """Stop what was begun, and wait for that; each Ctrl-C meanwhile is an order: kill, then leave alone."""
        while not self._ended.is_set():
            self.interrupt()
            with contextlib.suppress(KeyboardInterrupt):
                self._ended.wait()

    def interrupt(self) -> None:
        """Stop, kill at the second call, leave alone at the third."""
        with self._lock:
            if self._session is None:
                self.noted.append(signal.SIGINT)
                return
        self._session.on_signal(signal.SIGINT, None)

    def leave(self) -> None:
        """Leave the run alone, which continues."""
        session = self._session
        if session is not None and not self._ended.is_set():
            session.obey(DETACH)

    # -- for the thread ---------------------------------------------------------------------------

    def follow(self, session: Session) -> None:
        """Run a session to its end."""
        session.heard = self._hear
        with self._lock:
            self._session = session
            noted = list(self.noted)
        for number in noted:
            session.on_signal(number, None)
        session.run(takes_signals=False)
        self._keep()

    def _run(self) -> None:
        try:
            with contextlib.nullcontext() if self._shows else terminal.silence():
                self.result = self._work(self)
        except MadctlError as error:
            self.error = error
        except BaseException as error:  # noqa: BLE001  raised where somebody waits
            terminal.trace(error)
            self.error = MadctlError(unexpected(error))
            self.error.__cause__ = error
        finally:
            self._keep()
            self._ended.set()
            self._started.set()

    def _keep(self) -> None:
        if isinstance(self._session, RunSession) and self._session.record is not None:
            self.record = self._session.record

    def _hear(self, event: dict[str, Any]) -> None:
        """Learn that a node has started."""
        if self.has_started or event["event"] != events.STARTED or not isinstance(self._session, RunSession):
            return
        self._hosts.add(event["host"])
        plan = self._session.plan
        if plan and plan["nodes"] and self._hosts >= {node["host"] for node in plan["nodes"]}:
            self._keep()
            self.has_started = True
            self._started.set()


@atexit.register
def _leave_all() -> None:
    """Let all runs continue when Python ends; their threads would otherwise leave private files here."""
    import time

    due = [one for one in _living if one.is_here and not one.wait(0)]
    for one in due:
        one.leave()
    deadline = time.monotonic() + _LEAVING_SECONDS
    for one in due:
        one.wait(max(0.0, deadline - time.monotonic()))
