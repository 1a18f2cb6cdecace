# SPDX-License-Identifier: Apache-2.0
"""Convert the collection's refusals about jobs to errors of madctl."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from madctl.errors import ExitCode, MadctlError, Problem, RunError, UsageError

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


def reported(function: Callable[_Given, _Answer]) -> Callable[_Given, _Answer]:
    """Wrap a function so that refusals become ``UsageError``, or ``RunError`` if the controller is unreachable."""

    @functools.wraps(function)
    def asked(*given: _Given.args, **named: _Given.kwargs) -> _Answer:
        try:
            return function(*given, **named)
        except Refused as refused:
            raise _error(refused.problem) from refused

    return asked


def _error(found: codes.Problem) -> MadctlError:
    problem = Problem(found["code"], found["message"], remedy=found["remedy"])
    if codes.exit_code([found]) == ExitCode.UNREACHABLE:
        return RunError(ExitCode.UNREACHABLE, problem)
    return UsageError(problem)
