# SPDX-License-Identifier: Apache-2.0
"""
What is wanted after the end of a run, and its carrying out.

Whatever becomes of it, the run has ended as it has: a failure is a warning, and everything has a deadline.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._show import verdict_text
from madctl.after import command, notification
from madctl.errors import Problem
from madctl.result import Result

ON_END, NOTIFY = "ON_END_FAILED", "NOTIFY_FAILED"


@dataclass(frozen=True)
class Wishes:
    """A shell command, and an address; the latter may hold a secret."""

    on_end: str | None = None
    notify: str | None = None


NONE = Wishes()


def of(options: argparse.Namespace) -> Wishes:
    """Return what a command line wants."""
    return Wishes(getattr(options, "on_end", None), getattr(options, "notify", None))


def carry_out(wishes: Wishes, result: Result, name: str | None = None) -> list[Problem]:
    """
    Do what is wanted, now that a run has ended, and return what went wrong.

    Args:
        result: How it ended, without secrets.
        name: What the user calls the run.
    """
    found: list[Problem] = []
    steps: list[tuple[str, Callable[[threading.Event], str | None]]] = []
    # First the one that takes less time.
    if wishes.notify:
        url, text = wishes.notify, summary(result, name)
        steps.append((NOTIFY, lambda leaving: notification.post(url, text, result, leaving)))
    if wishes.on_end:
        line = wishes.on_end
        steps.append((ON_END, lambda leaving: command.run(line, result, name, leaving)))
    with _signals_noted() as leaving:
        for code, step in steps:
            wrong = "interrupted" if leaving.is_set() else step(leaving)
            if wrong:
                found.append(_failure(code, wrong))
    return found


def not_yet(wishes: Wishes, run_id: str) -> list[Problem]:
    """Return that nothing was done, because a run continues."""
    wanted = [(NOTIFY, "--notify", wishes.notify), (ON_END, "--on-end", wishes.on_end)]
    return [
        Problem(code, f"the run continues, so {option} has to wait", remedy=f"madctl attach {run_id} {option} …")
        for code, option, value in wanted
        if value
    ]


def summary(result: Result, name: str | None = None) -> str:
    """Write how a run ended, in one line."""
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


def _failure(code: str, message: str) -> Problem:
    option = {NOTIFY: "--notify", ON_END: "--on-end"}[code]
    return Problem(code, f"{option}: {message}", remedy="the run itself is not affected")


@contextmanager
def _signals_noted() -> Iterator[threading.Event]:
    """Have signals end what is being done: the session of the run, which obeyed them, is over."""
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
