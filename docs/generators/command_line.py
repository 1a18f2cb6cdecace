# SPDX-License-Identifier: Apache-2.0
"""The command line as plain data, for both the reference page and the manual page."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from madctl.cli import build_parser


@dataclass(frozen=True)
class Option:
    """One option, or one positional argument; ``spelling`` includes its value."""

    spelling: str
    meaning: str


@dataclass(frozen=True)
class Group:
    """Options that belong together."""

    title: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Command:
    """A command as typed, such as ``madctl lab up``."""

    name: str
    usage: str
    description: str
    groups: tuple[Group, ...]


def program() -> Command:
    """Return madctl itself, with the options that come before a command."""
    return _command(build_parser())


def commands() -> list[Command]:
    """Return all commands, each followed by its subcommands, in the order of the help."""
    return list(_below(build_parser()))


def with_repeated(found: list[Command]) -> Iterator[tuple[Command, list[tuple[Group, str | None]]]]:
    """Yield each command with its groups, and for each group the earlier command that has the same one, if any."""
    before: dict[Group, str] = {}
    for each in found:
        yield each, [(group, before.get(group)) for group in each.groups]
        before |= {group: each.name for group in each.groups if group.title != "options" and group not in before}


def _below(parser: argparse.ArgumentParser) -> Iterator[Command]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield _command(child)
                yield from _below(child)


def _command(parser: argparse.ArgumentParser) -> Command:
    groups = []
    for group in parser._action_groups:
        options = tuple(_option(action) for action in group._group_actions if _is_shown(action))
        if options:
            title = "options" if group.title == "positional arguments" else group.title
            groups.append(Group(title, options))
    return Command(parser.prog, _usage(parser), _sentence(parser.description or ""), _joined(groups))


def _sentence(text: str) -> str:
    """Turn a summary, which may begin with the name of its command, into a sentence."""
    plain = text.replace("``", "`")
    plain = plain.partition("`: ")[2] if plain.startswith("`") else plain
    return f"{plain[0].upper()}{plain[1:].rstrip('.')}."


def _is_shown(action: argparse.Action) -> bool:
    return not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))


def _option(action: argparse.Action) -> Option:
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    if not action.option_strings:
        return Option(f"[{value}]" if action.nargs == "?" else value, action.help or "")
    if action.nargs == 0:
        value = ""
    elif action.nargs == "?":
        value = f" [{value}]"
    elif action.nargs == "+":
        value = f" {value}…"
    else:
        value = f" {value}"
    return Option(", ".join(action.option_strings) + value, action.help or "")


def _usage(parser: argparse.ArgumentParser) -> str:
    if parser.usage:
        return parser.usage
    words = [parser.prog]
    words += [_option(action).spelling for action in parser._actions if _is_shown(action) and not action.option_strings]
    if any(_is_shown(action) and action.option_strings for action in parser._actions):
        words.append("[OPTION…]")
    words += [action.metavar for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return " ".join(words)


def _joined(groups: list[Group]) -> tuple[Group, ...]:
    """Merge arguments and options, which argparse keeps apart, into one group, and put it last."""
    plain = [option for group in groups if group.title == "options" for option in group.options]
    named = [group for group in groups if group.title != "options"]
    return (*named, Group("options", tuple(plain))) if plain else tuple(named)
