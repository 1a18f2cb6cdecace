# SPDX-License-Identifier: Apache-2.0
"""The command line as plain data, for both the reference page and the manual page."""

from collections.abc import Iterator
from dataclasses import dataclass

from madctl.cli import build_parser
from madctl.request import help_text
from madctl.request.help_text import Example, Group
from madctl.request.parser import Parser


@dataclass(frozen=True)
class Command:
    """A command as users type it, such as ``madctl lab up``."""

    name: str
    usage: str
    description: str
    groups: tuple[Group, ...]
    examples: tuple[Example, ...]


def program() -> Command:
    """Return madctl itself, with the options that come before a command."""
    return _command(build_parser())


def commands() -> list[Command]:
    """Return all commands, each followed by its subcommands, in the order of the help."""
    return list(_below(build_parser()))


def with_repeated(found: list[Command]) -> Iterator[tuple[Command, list[tuple[Group, str | None]]]]:
    """Yield each command with its groups, and for each group the earlier command with the same group, if any."""
    before: dict[Group, str] = {}
    for each in found:
        yield each, [(group, before.get(group)) for group in each.groups]
        before |= {group: each.name for group in each.groups if group.title != "options" and group not in before}


def _below(parser: Parser) -> Iterator[Command]:
    for child in parser.commands.values():
        yield _command(child)
        yield from _below(child)


def _command(parser: Parser) -> Command:
    about = help_text.sentence(parser.description or "")
    return Command(parser.prog, help_text.usage(parser), about, help_text.groups(parser), tuple(parser.examples))
