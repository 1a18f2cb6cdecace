# SPDX-License-Identifier: Apache-2.0
"""Print problems, and with them the answers of commands that only query nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import problem_lines
from ansible_collections.madctl.multinode.plugins.module_utils._show.columns import RED, YELLOW
from madctl.errors import Problem
from madctl.result import Answer, answer, to_json
from madctl.screen.terminal import Stream, say, streams

# Colours show how bad a problem is.
COLOURS = {"notice:": YELLOW, "madctl:": RED}


def print_problems(
    errors: Sequence[Problem],
    warnings: Sequence[Problem],
    blank: bool = False,
    logs: str = "",
    stream: Stream | None = None,
) -> None:
    """
    Print warnings, then errors, one line each.

    Args:
        blank: Whether to print an empty line first.
        logs: A command that is printed afterwards; remedies that only refer to it are left out.
        stream: Where to print; by default, standard error.
    """
    errors = [replace(error, remedy=None) if error.remedy == f"see {logs}" else error for error in errors]
    lines = [f"notice: {line}" for line in folded(warnings)] + [f"madctl: {line}" for line in folded(errors)]
    (stream or streams()[1]).lines([""] * (blank and bool(lines)) + lines, colours=COLOURS)


def folded(problems: Sequence[Problem]) -> list[str]:
    """Write problems as lines, one line for all nodes with the same problem, in order of appearance."""
    return problem_lines.lines([vars(problem) for problem in problems])


def print_answer(
    options: Any,
    run_id: str | None,
    data: dict[str, Any],
    lines: Iterable[object],
    problems: Sequence[Problem],
    notices: Sequence[Problem] = (),
    good: str = "succeeded",
) -> int:
    """
    Print the answer of a command, then its problems; return its exit code.

    Args:
        data: Printed if the options request JSON; otherwise, ``lines`` are.
        good: The status if there are no problems.
    """
    lines = lines if isinstance(lines, Sequence) else list(lines)
    return show_answer(options, answer(options.command, run_id, data, lines, problems, notices, good))


def show_answer(options: Any, found: Answer) -> int:
    """Print an answer, as JSON if the options request that, then its problems; return its exit code."""
    say(*[to_json(found.result)] if options.output == "json" else found.lines)
    print_problems(found.result.errors, found.result.warnings)
    return found.result.exit_code
