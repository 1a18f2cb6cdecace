# SPDX-License-Identifier: Apache-2.0
"""
Carry out what the user requested for the end of a run.

It never changes how the run ended: failures are warnings, and everything has a deadline.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._show import verdict_text
from madctl.after import command, notification
from madctl.errors import Problem
from madctl.result import Result

_UNTOUCHED = "the run itself is not affected"


@dataclass(frozen=True)
class Wishes:
    """A shell command, and an address, which may hold a secret."""

    on_end: str | None = None
    notify: str | None = None


NONE = Wishes()


def of(options: argparse.Namespace) -> Wishes:
    """Return what a command line requests."""
    return Wishes(getattr(options, "on_end", None), getattr(options, "notify", None))


def carry_out(wishes: Wishes, result: Result, name: str | None = None) -> list[Problem]:
    """
    Do what was requested, now that a run has ended, and return what went wrong.

    Args:
        result: How it ended, without secrets.
        name: The user's name for the run.
    """
    found: list[Problem] = []
    steps: list[tuple[Callable[[str], Problem], Callable[[threading.Event], str | None]]] = []
    # The faster one first.
    if wishes.notify:
        url, text = wishes.notify, summary(result, name)
        steps.append((_not_notified, lambda leaving: notification.post(url, text, result, leaving)))
    if wishes.on_end:
        line = wishes.on_end
        steps.append((_not_run, lambda leaving: command.run(line, result, name, leaving)))
    with _signals_noted() as leaving:
        for failure, step in steps:
            wrong = "interrupted" if leaving.is_set() else step(leaving)
            if wrong:
                found.append(failure(wrong))
    return found


def not_yet(wishes: Wishes, run_id: str) -> list[Problem]:
    """Return the problems that nothing was done, because the run continues."""
    attach, late = f"madctl attach {run_id}", "the run continues, so it has to wait"
    found = [replace(_not_notified(late), remedy=f"{attach} --notify …")] if wishes.notify else []
    return found + ([replace(_not_run(late), remedy=f"{attach} --on-end …")] if wishes.on_end else [])


def summary(result: Result, name: str | None = None) -> str:
    """Summarize in one line how a run ended."""
    data, first = result.data or {}, next(iter(result.errors), None)
    ended = {
        "status": result.status,
        "exit_code": result.exit_code,
        "cause": codes.cause(vars(first)) if first else None,
        "duration_seconds": data.get("duration_seconds"),
        "attempts": data.get("attempts"),
    }
    who = f"{name} ({result.run_id})" if name and result.run_id else name or result.run_id or result.command
    return f"madctl: {who} {verdict_text.whole(ended)}"


def _not_notified(message: str) -> Problem:
    return Problem("NOTIFY_FAILED", f"--notify: {message}", remedy=_UNTOUCHED)


def _not_run(message: str) -> Problem:
    return Problem("ON_END_FAILED", f"--on-end: {message}", remedy=_UNTOUCHED)


@contextmanager
def _signals_noted() -> Iterator[threading.Event]:
    """Let signals interrupt the work of this file: the session of the run, which handled them before, is over."""
    leaving = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield leaving
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: leaving.set()) for number in numbers]
    try:
        yield leaving
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler or signal.SIG_DFL)
