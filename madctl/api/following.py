# SPDX-License-Identifier: Apache-2.0
"""
A session that runs in its own thread, so that no call takes over the signals of the process.

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
    """Work in a thread, which opens a session, runs it, and makes a result from it."""

    def __init__(self, work: Callable[[Following], Result | None], shows: bool = False) -> None:
        """
        Prepare.

        Args:
            work: Gets this object, and has it run a session; returns the result, or None if nothing is followed.
            shows: Whether to print as the command line does.
        """
        self._work, self._shows = work, shows
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._hosts: set[str] = set()
        # Orders that arrived before there was a session: signals, as the command line notes them.
        self.noted: list[int] = []
        self.record: Record | None = None
        # Warnings from before there was a session.
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
        """Whether its thread is in this process, not in the one that this was forked from."""
        return self._pid == os.getpid()

    @property
    def is_running(self) -> bool:
        """Whether this process follows a run that has started and not ended."""
        return self.is_here and self.has_started and not self._ended.is_set()

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings so far, without secrets."""
        view = self._session.view if self._session else None
        return (*self.notices, *(view.masked(view.warnings) if view else ()))

    def wait_started(self) -> None:
        """Wait until all nodes have started, or the work has ended."""
        self._started.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the work; return whether it has ended."""
        return self._ended.wait(timeout)

    def give_up(self) -> None:
        """Stop what was begun, and wait for its end; meanwhile, Ctrl-C kills, and the next one detaches."""
        while not self._ended.is_set():
            self.interrupt()
            with contextlib.suppress(KeyboardInterrupt):
                self._ended.wait()

    def interrupt(self) -> None:
        """Stop the run; kill it at the second call, detach from it at the third."""
        with self._lock:
            if self._session is None:
                self.noted.append(signal.SIGINT)
                return
        self._session.on_signal(signal.SIGINT, None)

    def leave(self) -> None:
        """Detach from the run, which continues."""
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
        except BaseException as error:  # noqa: BLE001  raised in the caller that waits
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
        """Take an event of a node: once all nodes have started, the run has."""
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
    """Detach from all runs when Python ends; their threads would otherwise leave private files on this machine."""
    import time

    due = [one for one in _living if one.is_here and not one.wait(0)]
    for one in due:
        one.leave()
    deadline = time.monotonic() + _LEAVING_SECONDS
    for one in due:
        one.wait(max(0.0, deadline - time.monotonic()))
