# SPDX-License-Identifier: Apache-2.0
"""The exit codes of madctl and of the results of actions. Pure; private to the collection."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command; ``docs/reference/exit_codes.md`` explains them."""

    SUCCEEDED = 0
    INTERNAL = 1
    USAGE = 2
    CHECK_FAILED = 3
    UNREACHABLE = 4
    START_FAILED = 5
    JOB_FAILED = 6
    NODE_LOST = 7
    TIMED_OUT = 8
    STOP_UNVERIFIED = 9
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


def of_signal(number: int) -> ExitCode:
    """Return the exit code of a command that ended because of a signal: SIGHUP, SIGINT or SIGTERM."""
    return ExitCode(128 + number)
