# SPDX-License-Identifier: Apache-2.0
"""
The errors below the command line, and the exit code of each kind.

    MadctlError
    ├── UsageError        2   the request is invalid, or a lab cannot do that on this machine; no node was contacted
    │   └── KeywordError  2   in Python: an unknown keyword, or a value of the wrong type; also a TypeError
    └── RunError          *   what nodes, Ansible or the job reported; has its own exit code

Only ``cli.main`` catches these and prints them; to callers in Python they are raised.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode as ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import of_signal as of_signal
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason

DEBUG = "MADCTL_DEBUG"
_LONGEST = 400  # characters of an exception's message
# A shortage of these on the machine is not a bug.
_MACHINE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
)


@dataclass(frozen=True)
class Problem:
    """
    One line of bad news: where, what, and the remedy.

    ``code`` is stable and listed in ``docs/reference/errors.md``; ``host`` is None unless the problem is on one
    node.
    """

    code: str
    message: str
    host: str | None = None
    remedy: str | None = None
    rank: int | None = None
    exit_code: int | None = None

    def __str__(self) -> str:
        """Write the problem on one line."""
        from ansible_collections.madctl.multinode.plugins.module_utils._common import codes

        return codes.line(vars(self))


class MadctlError(Exception):
    """Base of all errors that are reported as lines instead of a traceback."""

    exit_code: ExitCode = ExitCode.INTERNAL
    as_json: bool | None = None  # whether to print it to stdout as JSON, too; None: unknown, the command line decides

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to pickle it, for a process pool for example."""
        return (type(self), self.problems, vars(self))


def unexpected(error: BaseException) -> Problem:
    """Make a problem from an unforeseen error: the machine lacks a resource, or madctl has a bug."""
    if isinstance(error, OSError) and error.errno in _MACHINE:
        return Problem("INTERNAL", reason(error, is_named=True))
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" in {os.path.basename(trace.tb_frame.f_code.co_filename)}, line {trace.tb_lineno}" if trace else ""
    remedy = f"this is a bug in madctl; please report it, with the output of the same command under {DEBUG}=1"
    return Problem("INTERNAL", f"{type(error).__name__}: {str(error)[:_LONGEST]}{where}", remedy=remedy)


class UsageError(MadctlError):
    """The request is invalid, or a lab cannot do that on this machine; no node was contacted."""

    exit_code = ExitCode.USAGE


class KeywordError(UsageError, TypeError):
    """A function was called with an unknown keyword, or with a value of the wrong type."""


def refused(code: str, message: str, host: str | None = None, remedy: str | None = None) -> UsageError:
    """Make the error for a refused request, with one problem."""
    return UsageError(Problem(code, message, host, remedy))


class RunError(MadctlError):
    """
    Nodes, Ansible or the job itself reported a failure.

    Attributes:
        run_id: The ID of the run, if it has a record.
    """

    run_id: str | None = None

    def __init__(self, exit_code: ExitCode, *problems: Problem) -> None:
        super().__init__(*problems)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to pickle it, for a process pool for example."""
        return (type(self), (self.exit_code, *self.problems), vars(self))
