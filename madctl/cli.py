# SPDX-License-Identifier: Apache-2.0
"""
The command line: parse, hand over to one command, print its errors, return its exit code.

Nothing else in the package prints an error or decides on an exit code. Commands import what they
need when they run, so that ``--help`` costs no more than Python's own start.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from madctl.commands import attach, check, collect, completion, gc, inventory, lab, launch, logs, ps, status, stop
from madctl.errors import ExitCode, MadctlError, Problem, UsageError

COMMANDS = (launch, check, ps, status, logs, attach, stop, collect, gc, inventory, lab, completion)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are errors like all others."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise instead of printing and exiting, so that JSON mode can report it too."""
        raise UsageError(Problem("USAGE", message, remedy=f"see {self.prog} --help"))


def build_parser() -> Parser:
    """Build the parser of all commands."""
    parser = Parser(
        prog="madctl",
        description="Start a training script on all of your GPU nodes at once, over plain SSH.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for command in COMMANDS:
        command.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run madctl and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    own, work = split_work(arguments)
    try:
        parser = build_parser()
        options = parser.parse_args(glued(own))
        if options.version:
            return _print_version()
        if options.command is None:
            parser.print_help()
            return ExitCode.USAGE
        options.work, options.parser = work, parser
        return _leave(int(options.run(options)))
    except MadctlError as error:
        return _report(error, own)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.SUCCEEDED


def _leave(code: int) -> int:
    """Go with an exit code, also while a thread hangs on a screen that takes nothing: Python would wait for it."""
    import threading

    if any(thread.name == "madctl-events" for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(code)
    return code


def split_work(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Split at the first ``--``: our own words, and the user's, or None when there is no ``--``."""
    if "--" not in arguments:
        return list(arguments), None
    position = list(arguments).index("--")
    return list(arguments[:position]), list(arguments[position + 1 :])


def glued(arguments: Sequence[str]) -> list[str]:
    """Give an option that takes another program's options its value, which argparse would take for one of ours."""
    words = iter(arguments)
    return [f"{word}={next(words, '')}" if word == "--mpi-args" else word for word in words]


def _print_version() -> int:
    from importlib.metadata import version

    print(f"madctl {version('madctl')}")
    return ExitCode.SUCCEEDED


def _report(error: MadctlError, arguments: Sequence[str]) -> int:
    for problem in error.problems:
        print(f"madctl: {problem}", file=sys.stderr)
    if wants_json(arguments):
        from madctl.result import Result, to_json

        command = next((word for word in arguments if not word.startswith("-")), "")
        print(to_json(Result(command, "failed", error.exit_code, errors=error.problems)))
    return error.exit_code


def wants_json(arguments: Sequence[str]) -> bool:
    """Tell whether JSON was asked for, also when the rest of the line could not be parsed."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return "--output=json" in arguments or ("--output", "json") in pairs
