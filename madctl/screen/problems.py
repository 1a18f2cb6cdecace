# SPDX-License-Identifier: Apache-2.0
"""Problems on the screen: one line for all nodes that have the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from madctl.errors import Problem
from madctl.screen.lines import fold
from madctl.screen.terminal import tell


def print_problems(errors: Sequence[Problem], warnings: Sequence[Problem], blank: bool = False) -> None:
    """Print warnings, then errors, one line each, after an empty one where wanted."""
    lines = [f"notice: {line}" for line in folded(warnings)] + [f"madctl: {line}" for line in folded(errors)]
    tell(*[""] * (blank and bool(lines)), *lines)


def folded(problems: Sequence[Problem]) -> list[str]:
    """Write problems as lines, one line for all nodes that have the same one, in order of appearance."""
    groups: dict[Problem, list[str]] = {}
    for problem in problems:
        groups.setdefault(replace(problem, host=None), []).extend([problem.host] if problem.host else [])
    lines = []
    for problem, hosts in groups.items():
        lines.append(str(replace(problem, host=fold(hosts) or None)))
    return lines
