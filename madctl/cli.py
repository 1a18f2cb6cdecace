# SPDX-License-Identifier: Apache-2.0
"""
The command line: parse, hand over to one command, print its errors, return its exit code.

Every failure is one line and an exit code, never a traceback.
Commands import what they need when they run, so that ``--help`` costs no more than Python's own start.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from madctl.commands import attach, check, collect, completion, gc, inventory, lab, launch, logs, ps, status, stop
from madctl.errors import ExitCode, MadctlError, Problem, refused, unexpected
from madctl.screen import terminal

COMMANDS = (launch, check, ps, status, logs, attach, stop, collect, gc, inventory, lab, completion)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are reported like all others."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise instead of printing and exiting, so that JSON mode can report it too."""
        raise refused("USAGE", message, remedy=f"see {self.prog} --help")

    def _print_message(self, message: str, _: Any = None) -> None:
        """Print help, which is all that argparse prints, as everything else is printed."""
        terminal.say(*message.rstrip("\n").split("\n"))


def build_parser() -> Parser:
    """Build the parser of all commands."""
    parser = Parser(
        prog="madctl",
        description="Run a training script on all your GPU nodes with one command, over plain SSH.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for command in COMMANDS:
        command.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run madctl and return its exit code."""
    terminal.prepare()
    arguments = list(sys.argv[1:] if argv is None else argv)
    own, work = split_work(arguments)
    try:
        code = _run(own, work)
    except MadctlError as error:
        code = _report(error, own)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except SystemExit as end:  # of --help
        code = int(end.code or 0)
    except Exception as error:  # noqa: BLE001  no caller could make a line of it
        terminal.trace(error)
        code = _report(MadctlError(unexpected(error)), own)
    return _leave(code)


def _run(own: list[str], work: list[str] | None) -> int:
    parser = build_parser()
    options = parser.parse_args(glued(own))
    if options.version:
        from importlib.metadata import version

        terminal.say(f"madctl {version('madctl')}")
        return ExitCode.SUCCEEDED
    if options.command is None:
        parser.print_help()
        return ExitCode.USAGE
    options.work, options.parser = work, parser
    return int(options.run(options))


def _leave(code: int) -> int:
    """Exit, even while a thread hangs on a screen that takes nothing, which Python itself would wait for."""
    import threading

    lost = terminal.leave()
    if lost:
        remedy = "the command has ended; the logs of a run are on its nodes"
        problem = Problem("OUTPUT_LOST", f"some output could not be written: {lost.strerror}", remedy=remedy)
        terminal.tell(f"madctl: {problem}")
        code = code or ExitCode.INTERNAL
    if any(thread.name == "madctl-events" for thread in threading.enumerate()):
        os._exit(code)
    return code


def split_work(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Split at the first ``--``: words of madctl, and those of the work, or None when there is no ``--``."""
    if "--" not in arguments:
        return list(arguments), None
    position = arguments.index("--")
    return list(arguments[:position]), list(arguments[position + 1 :])


def glued(arguments: Sequence[str]) -> list[str]:
    """Join an option that takes another program's options with its value, which argparse would take for one of ours."""
    words = iter(arguments)
    return [f"{word}={next(words, '')}" if word == "--mpi-args" else word for word in words]


def _report(error: MadctlError, arguments: Sequence[str]) -> int:
    for problem in error.problems:
        terminal.tell(f"madctl: {problem}")
    if wants_json(arguments):
        from madctl.result import Result, to_json

        command = next((word for word in arguments if not word.startswith("-")), "")
        terminal.say(to_json(Result(command, "failed", error.exit_code, errors=error.problems)))
    return error.exit_code


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether JSON was asked for, even when the rest of the line could not be parsed."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return "--output=json" in arguments or ("--output", "json") in pairs
