# SPDX-License-Identifier: Apache-2.0
"""What a command found out, and its one versioned JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from madctl.errors import Problem

SCHEMA = 1


@dataclass(frozen=True)
class Result:
    """The outcome of one command; ``data`` is None where there is nothing beyond the errors."""

    command: str
    status: str
    exit_code: int
    run_id: str | None = None
    data: dict[str, Any] | None = None
    errors: Sequence[Problem] = ()
    warnings: Sequence[Problem] = field(default_factory=tuple)


def to_json(result: Result) -> str:
    """Write the result as one JSON object."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "command": result.command,
            "status": result.status,
            "exit_code": int(result.exit_code),
            "run_id": result.run_id,
            "data": result.data,
            "errors": [_problem(problem) for problem in result.errors],
            "warnings": [_problem(problem) for problem in result.warnings],
        }
    )


def _problem(problem: Problem) -> dict[str, Any]:
    fields = {key: getattr(problem, key) for key in ("code", "host", "message", "remedy")}
    if problem.code in ("RANK_FAILED", "COMMAND_FAILED", "MODEL_FAILED"):
        fields |= {"rank": problem.rank, "exit_code": problem.exit_code}
    return fields


def to_problem(data: dict[str, Any]) -> Problem:
    """Turn what a role reported into a problem."""
    names = ("code", "message", "host", "remedy", "rank", "exit_code")
    return Problem(**{name: data[name] for name in names if name in data})
