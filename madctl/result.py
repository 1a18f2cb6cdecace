# SPDX-License-Identifier: Apache-2.0
"""The result of a command, and its one versioned JSON object."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import JOB_CODES
from madctl.errors import Problem

SCHEMA = 1


@dataclass(frozen=True)
class Result:
    """The result of one command; ``data`` is None where there are only errors."""

    command: str
    status: str
    exit_code: int
    run_id: str | None = None
    data: dict[str, Any] | None = None
    errors: Sequence[Problem] = ()
    warnings: Sequence[Problem] = field(default_factory=tuple)


def to_json(result: Result) -> str:
    """Write the result as one JSON object on one line, in characters that are harmless to a terminal."""
    text = json.dumps(_finite(_whole(result)), allow_nan=False)
    # The only control character that JSON leaves as it is.
    return text.replace("\x7f", "\\u007f")


def _whole(result: Result) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "command": result.command,
        "status": result.status,
        "exit_code": int(result.exit_code),
        "run_id": result.run_id,
        "data": result.data,
        "errors": [_problem(problem) for problem in result.errors],
        "warnings": [_problem(problem) for problem in result.warnings],
    }


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot write by null; a node may report one."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value


def _problem(problem: Problem) -> dict[str, Any]:
    fields = {key: getattr(problem, key) for key in ("code", "host", "message", "remedy")}
    if problem.code in JOB_CODES:
        fields |= {"rank": problem.rank, "exit_code": problem.exit_code}
    return fields


def to_problem(data: dict[str, Any]) -> Problem:
    """Make a problem from what a role reported."""
    names = ("code", "message", "host", "remedy", "rank", "exit_code")
    return Problem(**{name: data[name] for name in names if name in data})
