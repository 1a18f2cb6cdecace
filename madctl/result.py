# SPDX-License-Identifier: Apache-2.0
"""The result of a command, and its one versioned JSON object."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import JOB_CODES, answer_code
from madctl.errors import Problem

SCHEMA = 1


@dataclass(frozen=True)
class Result:
    """The result of one command, as in its JSON; ``data`` is None if there are only errors."""

    command: str
    status: str
    exit_code: int
    run_id: str | None = None
    data: dict[str, Any] | None = None
    errors: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()


@dataclass(frozen=True)
class Answer:
    """The answer of a command about runs: its result, and the same as lines for people."""

    result: Result
    lines: Sequence[object]


def answer(
    command: str,
    run_id: str | None,
    data: dict[str, Any],
    lines: Sequence[object],
    problems: Sequence[Problem],
    notices: Sequence[Problem] = (),
    good: str = "succeeded",
) -> Answer:
    """
    Make the answer of a command that queries nodes; its exit code follows from its problems.

    Args:
        good: The status if there are no problems.
    """
    status, code = "failed" if problems else good, answer_code([problem.code for problem in problems])
    return Answer(Result(command, status, code, run_id, data, problems, notices), lines)


def as_data(result: Result) -> dict[str, Any]:
    """Return the result as data, as in the JSON."""
    lists = {"errors": list(map(_problem, result.errors)), "warnings": list(map(_problem, result.warnings))}
    return {**vars(result), **lists}


def to_json(result: Result) -> str:
    """Write the result as one JSON object on one line, in characters that are harmless to a terminal."""
    text = json.dumps(_finite({"schema": SCHEMA, **as_data(result)}), allow_nan=False)
    # The only control character that JSON does not escape.
    return text.replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot represent with null; a node may report one."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value


def _problem(problem: Problem) -> dict[str, Any]:
    names = ("code", "host", "message", "remedy", *(("rank", "exit_code") if problem.code in JOB_CODES else ()))
    return {name: getattr(problem, name) for name in names}


def to_problem(data: dict[str, Any]) -> Problem:
    """Make a problem from what a role reported."""
    return Problem(**{field.name: data[field.name] for field in fields(Problem) if field.name in data})
