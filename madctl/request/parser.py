# SPDX-License-Identifier: Apache-2.0
"""The parser of a command: its errors suggest similar names, and its help begins with the most used options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from madctl.errors import refused
from madctl.request import help_text
from madctl.request.help_text import Example


class Parser(argparse.ArgumentParser):
    """
    An argument parser whose errors are reported like all others, with a suggestion.

    Attributes:
        examples: Command lines that its help shows.
        first: The options that ``--help`` shows; ``--help-all`` shows the others, too. Empty: ``--help`` shows all.
    """

    examples: Sequence[Example] = ()
    first: Sequence[str] = ()

    def __init__(self, *words: Any, **more: Any) -> None:
        """Add ``--help``, with our own text."""
        super().__init__(*words, **{**more, "add_help": False, "allow_abbrev": False})
        self.add_argument("-h", "--help", action="help", help="print this help and exit")

    @property
    def commands(self) -> Mapping[str, Parser]:
        """The parsers of its commands."""
        return next((each.choices for each in self._actions if isinstance(each, argparse._SubParsersAction)), {})

    def show_first(self, *options: str) -> None:
        """Choose the options that ``--help`` shows, and add ``--help-all`` for the others."""
        self.first = options
        self.add_argument("--help-all", action=_HelpAll, help="print all options and exit")

    def format_help(self, whole: bool = False) -> str:
        """Write the help."""
        return help_text.text(self, self.width(), whole)

    def width(self) -> int:
        """Return the width of the help in columns."""
        return 80

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise an error instead of printing and exiting, so that it can also be reported as JSON."""
        raise refused("USAGE", message, remedy=f"see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse an unknown command, or a value that an option does not take."""
        if action.choices is None or value in action.choices:
            return
        known = list(action.choices)
        is_command = isinstance(action, argparse._SubParsersAction)
        name = "/".join(action.option_strings) or action.metavar or action.dest
        what = f"unknown command {value!r}" if is_command else f"{name} takes {kinds.one_of(known)}, not {value!r}"
        words = [*known, "help"] if is_command else known
        raise refused("USAGE", what, remedy=kinds.meant(value, words) or f"see {self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse words that this command does not know."""
        options, unknown = super().parse_known_args(args, namespace)
        for word in unknown:
            name = word.partition("=")[0]
            what = f"unknown option {name}" if word.startswith("-") else f"unexpected argument {word!r}"
            close = kinds.meant(name, self._option_string_actions) if word.startswith("-") else None
            raise refused("USAGE", what, remedy=close or f"see {self.prog} --help")
        return options, []


class _HelpAll(argparse._HelpAction):
    """Prints all options."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, Parser)
        parser._print_message(parser.format_help(whole=True))
        parser.exit()
