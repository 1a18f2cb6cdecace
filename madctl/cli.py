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
from typing import Any, NoReturn

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from madctl.commands import (
    attach,
    check,
    collect,
    completion,
    config,
    gc,
    inventory,
    lab,
    launch,
    logs,
    ps,
    report,
    rerun,
    status,
    stop,
    top,
)
from madctl.errors import ExitCode, MadctlError, Problem, UsageError, unexpected
from madctl.request import words
from madctl.request.help_text import Example
from madctl.request.parser import Parser
from madctl.screen import terminal
from madctl.settings import finding

COMMANDS = (
    *(launch, check, ps, status, top, logs, attach, stop, rerun, collect, report),
    *(gc, inventory, lab, config, completion),
)

_OUTPUT = "MADCTL_OUTPUT"
_CLOSING_SECONDS = 2


class _OnScreen(Parser):
    """A parser whose help is as wide as the screen."""

    def width(self) -> int:
        return terminal.OUT.width() or super().width()

    def _print_message(self, message: str, _: Any = None) -> None:
        """Print help, the only thing that argparse prints, like all other output."""
        terminal.say(*message.rstrip("\n").split("\n"))


def build_parser() -> Parser:
    """Build the parser of all commands."""
    parser = _OnScreen(
        prog="madctl",
        description="Run a training script on all your GPU nodes with one command, over plain SSH.",
        epilog="madctl help COMMAND shows the options of a command.",
    )
    parser.examples = (
        Example("try it on two virtual hosts on this machine", "madctl lab up -n 2"),
        Example("start a script on them", "madctl launch --lab lab examples/all_reduce.py"),
        Example("see how it went", "madctl status"),
    )
    parser.add_argument("-V", "--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=_OnScreen)
    for command in COMMANDS:
        command.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run madctl and return its exit code."""
    terminal.prepare()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(arguments)
    except MadctlError as error:
        code = _report(error, arguments)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except SystemExit as end:  # of --help
        code = int(end.code or 0)
    except Exception as error:  # noqa: BLE001  callers expect one line, not a traceback
        terminal.trace(error)
        code = _report(MadctlError(unexpected(error)), arguments)
    return _leave(code)


def program() -> NoReturn:
    """
    Run as a program, and exit.

    A thread may hang on a blocked terminal or a silent server. Python would wait for it, or shut down while it runs,
    which can abort the process after it printed its result. All output is flushed already.
    """
    import atexit
    import threading

    code = main()
    if threading.active_count() > 1:
        closing = threading.Thread(target=atexit._run_exitfuncs, daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)
        os._exit(code)
    sys.exit(code)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Parse a command line; ``help COMMAND`` is ``COMMAND --help``.

    Raises:
        UsageError: If it is invalid.
    """
    parser = build_parser()
    if arguments[:1] == ["help"]:
        # Before all arguments of the command: help never starts anything.
        named = [word for word in arguments[1:] if word != "help"]
        depth = 2 if named[:1] == ["lab"] and named[1:2] and not named[1].startswith("-") else 1
        arguments = [*named[:depth], "--help", *named[depth:]]
    found = _split(arguments, parser)
    options = parser.parse_args(words.glued(found.own))
    options.work, options.notice, options.parser = found.work, found.notice, parser
    options.own, options.parse = found.own, parsed
    options.notices = []
    is_first = getattr(options, "init", False)
    if options.command and not is_first and (getattr(options, "profile", None) is not None or finding.is_any()):
        from madctl.settings import applying

        typed = dict(vars(options))
        try:
            options.notices = applying.apply(options, parser, lambda: parser.parse_args(words.glued(found.own)))
        except UsageError as error:
            # A typing mistake in a file must not prevent a stop; all settings are ignored then.
            if options.command != "stop":
                raise
            options = argparse.Namespace(**{**typed, "notices": list(error.problems)})
    return options


def _split(arguments: Sequence[str], parser: Parser) -> words.Words:
    return words.split(arguments, parser.commands)


def _run(arguments: Sequence[str]) -> int:
    options = parsed(arguments)
    if options.version:
        from madctl.version import version

        terminal.say(f"madctl {version()}")
        return ExitCode.SUCCEEDED
    if options.command is None:
        options.parser.print_help()
        return ExitCode.USAGE
    try:
        if options.notices:
            from madctl.screen.problems import print_problems

            print_problems([], options.notices)
        return int(options.run(options))
    except MadctlError as error:
        # A rerun ignores settings, including the variable that requests JSON.
        error.as_json = hasattr(options, "output") and (options.output == "json" or wants_json(arguments))
        if hasattr(options, "settings"):
            from madctl.settings import applying

            error.problems = applying.explained(error.problems, options.settings)
        raise


def _leave(code: int) -> int:
    """Release the screen, and report lost output."""
    lost = terminal.leave()
    if lost:
        remedy = "the command has ended; the logs of a run are on its nodes"
        problem = Problem("OUTPUT_LOST", f"some output could not be written: {reason(lost)}", remedy=remedy)
        terminal.tell(f"madctl: {problem}")
        code = code or ExitCode.INTERNAL
    return code


def _report(error: MadctlError, arguments: Sequence[str]) -> int:
    from madctl.screen.problems import print_problems

    print_problems(error.problems, [])
    if error.as_json if error.as_json is not None else wants_json(arguments):
        from madctl.result import Result, to_json

        command = next((word for word in arguments if not word.startswith("-")), "")
        terminal.say(to_json(Result(command, "failed", error.exit_code, errors=error.problems)))
    return error.exit_code


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether JSON was requested, even if the rest of the line could not be parsed."""
    try:
        arguments = _split(arguments, build_parser()).own
    except MadctlError:
        arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    pairs = list(zip(arguments, [*arguments[1:], ""], strict=True))
    typed = [word.partition("=")[2] or after for word, after in pairs if word.partition("=")[0] == "--output"]
    # If the line, or a settings file, cannot be parsed, the variable still tells which format the caller reads.
    return (typed or [os.environ.get(_OUTPUT, "")])[-1] == "json"
