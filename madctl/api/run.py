# SPDX-License-Identifier: Apache-2.0
"""A run as an object: the run belongs to its nodes, so it continues when the object is deleted."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import STOPPED
from madctl import result as commands
from madctl.api import html, reading, results
from madctl.api.following import Following
from madctl.api.reading import Some
from madctl.api.results import Line, Result, Status
from madctl.errors import ExitCode, MadctlError, Problem, RunError
from madctl.playbook import report
from madctl.records import record_store, verdicts
from madctl.records.run_record import Record
from madctl.screen import terminal


class Run:
    """
    A run that was launched, by this process or any other.

    Attributes:
        id: Its ID.
        name: The user's name for it.
        warnings: Problems that stopped nothing when this process launched it.
    """

    def __init__(
        self,
        run_id: str,
        name: str | None = None,
        following: Following | None = None,
        warnings: tuple[Problem, ...] = (),
    ) -> None:
        """Make the object of a run; users call ``launch``, ``run`` or ``runs``."""
        self.id, self.name, self.warnings = run_id, name, warnings
        self._following = following
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return plain(f"<madctl.Run {self.id}{name}: {self._last()}>")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the ID: another process finds the run by it."""
        return (Run, (self.id, self.name, None, self.warnings))

    def _repr_html_(self) -> str:
        return html.pairs([("run", self.id), ("name", self.name), ("status", self._last())])

    def wait(self, timeout: float | None = None, check: bool = False) -> Result:
        """
        Wait for the end of the run, and return how it ended.

        Ctrl-C stops waiting and raises KeyboardInterrupt, and the run continues; ``stop`` stops it.

        Args:
            timeout: How many seconds to wait; None for no limit.
            check: Whether to raise an error unless the run succeeded.

        Raises:
            TimeoutError: If it has not ended by then; the run continues.
            MadctlError: If it cannot be found out how it ended, or, with ``check``, that it failed.
        """
        following = self._follow()
        if not following.wait(timeout):
            raise TimeoutError(f"run {self.id} has not ended within {timeout} s")
        if following.error is not None:
            with self._lock:
                self._following = None  # The next call follows again.
            raise following.error
        assert following.result is not None
        found = results.of_run(following.result, self.id)
        if check:
            found.raise_for_errors()
        return found

    def status(self) -> Status:
        """
        Ask the nodes of the run, or its scheduler, for its state.

        Raises:
            MadctlError: If that is not possible.
        """
        from madctl.verbs.status import status

        with terminal.silence():
            return results.of_status(status(self._record()).result)

    def stop(self, force: bool = False) -> Status:
        """
        Stop the run on all its nodes, and return its state once nothing of it is left there.

        Args:
            force: Whether to kill it immediately.

        Raises:
            RunError: If a node did not prove that, with ``STOP_UNVERIFIED``.
        """
        from madctl.verbs.stop import stop

        with terminal.silence():
            found = stop(self._record(), force).result
            if found.errors:
                raise RunError(results.exit_code_of(found.exit_code), *found.errors)
            # For a run on a login node, the answer says only that its job is over.
            return results.of_status(found) if "run" in (found.data or {}) else self.status()

    def logs(
        self,
        rank: Some = None,
        host: Some = None,
        follow: bool = False,
        since: str | None = None,
        lines: int | None = None,
    ) -> Iterator[Line]:
        """
        Yield the output of the run; lines of the same log are in order.

        Args:
            rank: Only these ranks: ``0``, ``"0-3,7"`` or a list.
            host: Only these nodes.
            follow: Whether to wait for more until the run ends.
            since: When to begin: ``now``, ``10m`` for ten minutes ago, or a time.
            lines: Only that many of the last lines of each log.

        Raises:
            UsageError: If the run has no such rank or node.
            RunError: At the end, if output of a node is missing.
        """
        options = reading.options(rank=rank, host=host, follow=follow, since=since, lines=lines)
        # Refuse invalid options now, not when the first line is requested.
        return reading.lines(self._record(), options)

    # -- how it is followed -----------------------------------------------------------------------

    def _follow(self) -> Following:
        """Return what follows the run in this process, and begin to follow it if nothing does."""
        with self._lock:
            known = self._following
            if known is not None and known.is_here and not _is_left(known):
                return known
            self._following = Following(lambda following: _attached(self._record(), following))
            self._following.start()
            return self._following

    def _record(self) -> Record:
        return record_store.read(self.id)

    def _last(self) -> str:
        """Return the state as far as this machine knows; no node is contacted."""
        if self._following and self._following.is_running:
            return "running"
        try:
            return self._record().status
        except MadctlError:
            return "unknown"


def _is_left(following: Following) -> bool:
    """Return whether following has ended while the run continued."""
    if not following.wait(0):
        return False
    return following.result is None or following.result.status in ("running", "queued")


def _attached(record: Record, following: Following) -> commands.Result:
    """Follow a run that was already started, without its output; if it has ended, its nodes may be gone."""
    from madctl.verbs.attach import follower

    has_ended = verdicts.has_ended(record)
    if record.status == STOPPED:
        # It was verified that nothing is left, and its pods may be gone.
        return _remembered(record, ())
    options = argparse.Namespace(output="text", since="now", rank=[], host=[])
    try:
        following.follow(session := follower(record, options))
        found = report.run_result(session, "attach")
    except MadctlError as error:
        if not has_ended:
            raise
        return _remembered(record, error.problems)
    is_other = has_ended and found.exit_code != record.exit_code
    return _remembered(record, found.errors) if is_other else found


def _remembered(record: Record, notices: Sequence[Problem]) -> commands.Result:
    """Return how a run ended according to its record on this machine."""
    code = ExitCode.INTERNAL if record.exit_code is None else record.exit_code
    remedy = f"see madctl logs {record.run_id}"
    known = {STOPPED: Problem("RUN_STOPPED", record.cause or "the run was stopped")}
    failed = Problem("RUN_FAILED", record.cause or f"the run has {record.status}", remedy=remedy)
    errors = [known.get(record.status, failed)] if code else []
    return commands.Result("attach", record.status, code, record.run_id, None, errors, notices)


def run(which: str | int | None = None) -> Run:
    """
    Return a run that was launched before.

    Args:
        which: The ID of the run, its name, the beginning of its ID, or ``-1`` for the latest, which is the default,
            ``-2`` for the one before.

    Raises:
        UsageError: If there is no such run, or several.
    """
    record = record_store.load(None if which is None else str(which))
    return Run(record.run_id, record.name)


def runs(n: int | None = None, failed: bool = False) -> list[Run]:
    """
    Return the runs recorded on this machine, newest first; those that may still be running are queried.

    Records that cannot be read are left out.

    Args:
        n: Only the newest ``n`` runs.
        failed: Only those that failed.

    Raises:
        UsageError: If the directory of records cannot be read.
    """
    from madctl.verbs.ps import remembered

    with terminal.silence():
        records, _ = remembered(n, failed)
    return [Run(one.run_id, one.name) for one in records if not failed or one.status == "failed"][:n]
