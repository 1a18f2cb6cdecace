# SPDX-License-Identifier: Apache-2.0
"""
Follow a run inside a scheduler's job through its files, in place of ``engine.Engine``.

The scheduler is queried while the job waits, at growing intervals, and then only if the job's heartbeat stops.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory, wire
from madctl.errors import Problem, RunError
from madctl.jobs import attempts, ends, place, slurm
from madctl.jobs.reading import Reading
from madctl.nodes.inventory import Targets
from madctl.playbook import EventListener, TaskListener

_LOOK_SECONDS = 0.1
# Between queries to the scheduler.
_FIRST_SECONDS, _MOST_SECONDS = 2.0, 60.0
_MORE_PATIENT, _ASK_AGAIN_SECONDS = 1.5, 0.5
# Without a heartbeat for this long, ask the scheduler whether the job still runs.
_SILENT_SECONDS = 6 * job_directory.BEAT_SECONDS
# The scheduler may report the end before the result arrives over a network file system; and a job takes a while to
# obey an order to end.
_LATE_SECONDS, _ENDING_SECONDS = 3.0, 60.0
_SUSPENDED = "job {} is suspended"
_TAIL_BYTES = 1 << 12
_ORDERS = {wire.STOP: b"stop\n", wire.KILL: b"kill\n"}

Tell = Callable[[str, str], None]


class InJob:
    """Follows one run until it has ended, or reads what has been written so far."""

    failure: str | None = None

    def __init__(
        self,
        on_task: TaskListener,
        on_event: EventListener,
        where: dict[str, Any],
        tell: Tell,
        follow: bool = True,
        read_only: bool = False,
        reading: Reading | None = None,
        caught_up: Callable[[], None] | None = None,
        attempt: int | None = None,
    ) -> None:
        """
        Prepare to follow.

        Args:
            where: ``id``, ``place`` and ``conf`` of the job.
            tell: Called with a stage and a text to show.
            follow: Whether to wait for the end.
            read_only: Whether orders must not reach the run: any order ends the reading, and how the run ended is not
                reported.
            reading: Which output is wanted; by default all.
            caught_up: Called once everything is read that was written before.
            attempt: Read only this attempt of the job.
        """
        self._on_task, self._on_event, self._tell, self._follows = on_task, on_event, tell, follow
        self._read_only = read_only
        self._id, self._place, self._conf = str(where["id"]), Path(where["place"]), str(where.get("conf", ""))
        self._reading = reading or Reading()
        self._caught_up = caught_up
        self._only = attempt
        self._attempt = attempt or 0
        self._where = attempts.where(self._place, self._attempt)
        self._story = place.Story(self._where)
        self._order: bytes | None = None
        self._obeyed: bytes | None = None
        self._woken = threading.Event()
        self._pause, self._ask_at = _FIRST_SECONDS, time.monotonic() + _FIRST_SECONDS / 4
        self._told = ""
        self._beat: Any = None
        self._beat_at = time.monotonic()
        self._over_at: float | None = None
        self._last = slurm.FORGOTTEN
        self._is_late = True

    def __enter__(self) -> InJob:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: there is nothing to release."""

    # -- orders ---------------------------------------------------------------------------------

    def stop(self, order: bytes, leaving: bool = False) -> bool:
        """Take an order, which the following thread carries out."""
        del leaving
        self._order = wire.DETACH if self._read_only else order
        self._woken.set()
        return True

    def cancel(self) -> None:
        """Do nothing: orders always arrive."""

    def _obey(self) -> None:
        """Carry out a new order: cancel a job that waits, or pass the order to a job that runs."""
        if self._order == self._obeyed or self._order not in _ORDERS:
            return
        self._obeyed = self._order
        if self._story.has_begun:
            place.write(self._place, job_directory.ORDER, _ORDERS[self._order])
            slurm.ring(self._id, self._conf)
        else:
            slurm.cancel(self._id, self._conf)
            self._ask_at = 0.0

    # -- following ------------------------------------------------------------------------------

    def run(self, playbook: str, targets: Targets, variables: dict[str, Any]) -> None:
        """Follow the run to its end, and report as the playbook's action would."""
        del targets, variables
        result = self._result()
        if self._read_only:
            result = {**result, "problems": [], "exit_code": 0}
        self._on_task(f"madctl.multinode.run_{playbook}", "", result)

    def _result(self) -> dict[str, Any]:
        while True:
            frames = self._story.more()
            for frame in frames:
                self._show(self._reading.take(frame))
            if frames:
                continue
            self._catch_up()
            if self._order is not None and self._order not in _ORDERS:
                return self._left()
            # Look for the result before reading the story again: all that was written before the result is then read.
            result = place.read(self._where, job_directory.RESULT)
            if result is not None and not self._story.more_waits:
                ended = self._explained(result)
                if ended is not None:
                    return ended
                continue
            if self._has_next() and not self._story.more_waits:
                self._go_on()
                continue
            if not self._follows:
                return {"detached": True, "problems": [], "exit_code": 0}
            self._obey()
            ended = self._look()
            if ended is not None:
                return ended
            self._woken.wait(_LOOK_SECONDS)
            self._woken.clear()

    def _show(self, frames: Iterable[wire.Frame]) -> None:
        for event, payload in frames:
            self._on_event(event, payload)

    def _catch_up(self) -> None:
        """Show, once, the earlier output that was held back."""
        if not self._is_late:
            return
        self._is_late = False
        self._show(self._reading.caught_up())
        if self._caught_up:
            self._caught_up()

    def _has_next(self) -> bool:
        """Return whether another attempt has begun and is wanted."""
        return self._only is None and attempts.last(self._place) > self._attempt

    def _go_on(self) -> None:
        """Follow the next attempt of the job."""
        self._attempt += 1
        self._where = attempts.where(self._place, self._attempt)
        self._story = place.Story(self._where)
        self._beat, self._over_at, self._last = None, None, slurm.FORGOTTEN
        now = time.monotonic()
        self._beat_at, self._pause, self._ask_at = now, _FIRST_SECONDS, now
        self._report(f"job {self._id} was requeued: attempt {self._attempt + 1}")

    def _report(self, text: str) -> None:
        """Show the state in the queue if it has changed."""
        if text != self._told:
            self._told = text
            self._tell("queue", text)

    def _left(self) -> dict[str, Any]:
        """Return the result that the run continues without us, as far as is known."""
        if self._obeyed is not None and not self._story.has_begun:
            self._report(f"job {self._id} was asked to end, but Slurm has not confirmed it")
        return {"detached": True, "run_id": self._place.name, "problems": [], "exit_code": 0}

    def _look(self) -> dict[str, Any] | None:
        """Check the heartbeat, or ask the scheduler if there is none; return a result if the job is over."""
        now = time.monotonic()
        if self._over_at is not None:
            return self._unrecorded() if now >= self._over_at else None
        if self._story.has_begun:
            beat = place.read(self._where, job_directory.STATE)
            if beat != self._beat:
                self._beat, self._beat_at = beat, now
                if self._told == _SUSPENDED.format(self._id):
                    self._report(f"job {self._id} runs again")
            if now - self._beat_at < _SILENT_SECONDS:
                return None
        if now < self._ask_at:
            return None
        self._ask(now)
        return None

    def _ask(self, now: float) -> None:
        try:
            state = slurm.look(self._id, self._conf)
        except RunError as error:
            # The run itself does not depend on following it.
            self._report(f"{error.problems[0].message}; trying again")
            state = None
        self._pause = min(self._pause * _MORE_PATIENT, _MOST_SECONDS)
        self._ask_at = now + self._pause
        if state is None:
            return
        if state.is_final or state == slurm.FORGOTTEN:
            self._last, self._over_at = state, now + _LATE_SECONDS
        elif state.state == slurm.SUSPENDED:
            self._report(_SUSPENDED.format(self._id))
        elif self._story.has_begun and state.state in slurm.WAITING and self._only is None:
            self._go_on()  # The attempt was ended before it could write its result.
        elif not self._story.has_begun:
            self._report(f"job {self._id} is {ends.waiting(state, time.time())}")

    def _explained(self, result: dict[str, Any]) -> dict[str, Any] | None:
        """
        Add why the scheduler ended a run, which knows only that it did; or that we stopped it.

        Returns:
            The result of the run; None if another attempt follows.
        """
        if self._has_next():
            self._go_on()
            return None
        if self._read_only and not self._follows:
            return result
        problems = result.get("problems") or []
        if self._obeyed is not None and problems and problems[0]["code"] == "RUN_STOPPED":
            return _judged(result, Problem("INTERRUPTED", "interrupted"))
        if not result.get("by_scheduler"):
            return result
        deadline, state = time.monotonic() + _ENDING_SECONDS, slurm.State("RUNNING")
        while not state.is_final and state != slurm.FORGOTTEN and time.monotonic() < deadline:
            time.sleep(_ASK_AGAIN_SECONDS)
            try:
                state = slurm.look(self._id, self._conf)
            except RunError as error:
                self._report(f"{error.problems[0].message}; trying again")
            if self._has_next() or state.state in slurm.WAITING and self._only is None:
                self._go_on()
                return None
        if state.is_final or state == slurm.FORGOTTEN:
            attempts.forget_request(self._place)
        found = ends.meaning(state)
        return _judged(result, found) if found else result

    def _unrecorded(self) -> dict[str, Any]:
        attempts.forget_request(self._place)
        if self._obeyed is not None and not self._story.has_begun:
            when = f"while it waited for attempt {self._attempt + 1}" if self._attempt else "before it began"
            return _judged({}, Problem("INTERRUPTED", f"interrupted; job {self._id} was cancelled {when}"))
        return _judged({}, ends.without_record(self._last, self._id, self._story.has_begun, self._last_line()))

    def _last_line(self) -> str:
        try:
            with open(self._place / job_directory.JOB_LOG, "rb") as stream:
                lines = stream.read(_TAIL_BYTES).decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1][:400] if lines else ""


def _judged(result: dict[str, Any], problem: Problem) -> dict[str, Any]:
    entry = codes.problem(problem.code, problem.host, problem.message, problem.remedy)
    return {
        "detached": False,
        "restarts": [],
        **result,
        "problems": [entry],
        "exit_code": int(codes.exit_code([entry])),
    }
