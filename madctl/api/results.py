# SPDX-License-Identifier: Apache-2.0
"""The results of the Python interface: the state or end of a run, the findings of a check, a line of output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import GOING, UNKNOWN
from ansible_collections.madctl.multinode.plugins.module_utils._show import verdict_text
from madctl import result as commands
from madctl.api import html
from madctl.errors import ExitCode, Problem, RunError

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Result:
    """
    How a run ended.

    Attributes:
        id: The ID of the run.
        status: ``succeeded``, ``failed``, ``stopped`` or ``interrupted``.
        exit_code: The exit code that the command line would have.
        cause: What failed first, on one line; None if nothing did.
        errors: The cause and the failures that followed, with stable codes.
        warnings: Problems that stopped nothing.
        data: All other details, as in ``data`` of ``madctl launch --output json``; times in seconds.
    """

    id: str
    status: str
    exit_code: int
    cause: str | None = None
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether the run succeeded."""
        return self.exit_code == ExitCode.SUCCEEDED

    def raise_for_errors(self) -> None:
        """
        Raise an error unless the run succeeded.

        Raises:
            RunError: With the run's exit code, errors and ID.
        """
        if not self.succeeded:
            raise failure(self.id, self.exit_code, self.errors, self.cause)

    def _repr_html_(self) -> str:
        seconds = self.data.get("duration_seconds")
        took = verdict_text.duration(seconds) if isinstance(seconds, int | float) else None
        rows = [("run", self.id), ("status", self.status), ("exit code", self.exit_code), ("took", took)]
        return html.pairs([*rows, ("cause", self.cause), *(("error", one) for one in self.errors[1:])])


@dataclass(frozen=True)
class Status:
    """
    The state of a run.

    Attributes:
        id: The ID of the run.
        name: The user's name for the run.
        status: ``queued``, ``running``, ``suspended``, ``succeeded``, ``failed``, ``stopped``, ``interrupted`` or
            ``unknown``.
        exit_code: The exit code of the run; None while it continues.
        cause: What failed first, on one line.
        seconds: How long it has run.
        hosts: Its nodes.
        nodes: The answer of each node, as in ``data.nodes`` of ``madctl status --output json``.
        problems: Why a node did not answer.
    """

    id: str
    name: str | None
    status: str
    exit_code: int | None
    cause: str | None
    seconds: float | None
    hosts: tuple[str, ...]
    nodes: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    problems: tuple[Problem, ...] = ()

    @property
    def goes_on(self) -> bool:
        """Whether the run is running, or waits to run."""
        return self.status in GOING

    @property
    def is_known(self) -> bool:
        """Whether the state is known, to the nodes or to this machine."""
        return self.status != UNKNOWN

    def _repr_html_(self) -> str:
        took = None if self.seconds is None else verdict_text.duration(self.seconds)
        rows = [("run", self.id), ("name", self.name), ("status", self.status), ("exit code", self.exit_code)]
        about = html.pairs([*rows, ("time", took), ("cause", self.cause), *(("problem", one) for one in self.problems)])
        nodes = html.table(("node", "state"), [(one.get("host"), one.get("state")) for one in self.nodes])
        return about + nodes if self.nodes else about


@dataclass(frozen=True)
class Check:
    """
    The findings of a check.

    Attributes:
        exit_code: The exit code that the command line would have.
        errors: The reasons for which a launch would be refused.
        warnings: Problems that would not stop a launch.
        nodes: The results of each node, as in ``data.nodes`` of ``madctl check --output json``.
    """

    exit_code: int
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    nodes: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def passed(self) -> bool:
        """Whether a launch would succeed."""
        return self.exit_code == ExitCode.SUCCEEDED

    def raise_for_errors(self) -> None:
        """
        Raise an error unless all checks passed.

        Raises:
            RunError: With the exit code and the errors.
        """
        if not self.passed:
            raise failure(None, self.exit_code, self.errors, None)

    def _repr_html_(self) -> str:
        names = list(self.nodes[0]["checks"]) if self.nodes else []
        rows = [[one["host"], *(one["checks"].get(name) for name in names)] for one in self.nodes]
        found = html.pairs([("passed", self.passed), *(("error", one) for one in self.errors)])
        return found + html.table(("node", *names), rows) if rows else found


class Line(str):
    """
    One line of output, without its end; control characters are escaped.

    Attributes:
        host: The node that printed it.
        rank: The rank; None for output of a runner or a command.
        stream: ``stdout`` or ``stderr``.
        time: When it was printed, in seconds since the epoch by the clock of this machine; None if that is unknown.
    """

    __slots__ = ("host", "rank", "stream", "time")

    host: str
    rank: int | None
    stream: str
    time: float | None

    def __new__(cls, text: str, host: str, rank: int | None, stream: str, time: float | None) -> Line:
        """Make a line."""
        made = super().__new__(cls, text)
        made.host, made.rank, made.stream, made.time = host, rank, stream, time
        return made

    def __getnewargs__(self) -> tuple[str, str, int | None, str, float | None]:  # type: ignore[override]
        """Return the arguments that make an equal line, for pickle."""
        return (str(self), self.host, self.rank, self.stream, self.time)


def failure(run_id: str | None, exit_code: int, errors: tuple[Problem, ...], cause: str | None) -> RunError:
    """Make the error of a failed run or check; if only its record remains, the cause takes the place of its errors."""
    known = errors or (Problem("RUN_FAILED", cause or "the run did not succeed", remedy=f"see madctl status {run_id}"),)
    error = RunError(exit_code_of(exit_code), *known)
    error.run_id = run_id
    return error


def exit_code_of(number: int) -> ExitCode:
    """Return a number as an exit code; the number may come from a record, which can be damaged."""
    return next((code for code in ExitCode if code == number), ExitCode.INTERNAL)


def of_run(found: commands.Result, run_id: str) -> Result:
    """Make the result of a run from the result of the command that followed it."""
    first = found.errors[0] if found.errors and found.status != "succeeded" else None
    cause = codes.cause(vars(first)) if first else None
    status = "stopped" if first and first.code == "RUN_STOPPED" else found.status
    errors, warnings = tuple(found.errors), tuple(found.warnings)
    return Result(run_id, status, int(found.exit_code), cause, errors, warnings, found.data or _NOTHING)


def of_status(found: commands.Result) -> Status:
    """Make the state of a run from the result of a command."""
    data = found.data or {}
    about = data["run"]
    return Status(
        about["run_id"],
        about["name"],
        about["status"],
        about["exit_code"],
        about["cause"],
        about["duration_seconds"],
        tuple(about["hosts"]),
        tuple(data.get("nodes", ())),
        tuple(found.errors),
    )
