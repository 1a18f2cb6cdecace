# SPDX-License-Identifier: Apache-2.0
"""
The help of a command from its parser, as data for the reference and manual pages, and as text for ``--help``. Pure.

Examples and the most used options are attributes of a parser: see ``Parser``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

_WIDEST = 27  # of the left column; a longer option gets its own line
_NARROWEST = 24  # of the right column; its longest word must fit


class Example(NamedTuple):
    """An example: what a command line does, in a few words, and the command line."""

    what: str
    line: str


class Option(NamedTuple):
    """One option, or one positional argument; ``spelling`` includes its value."""

    spelling: str
    meaning: str


class Group(NamedTuple):
    """Options that belong together."""

    title: str
    options: tuple[Option, ...]


def usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage line of a command."""
    if parser.usage:
        return parser.usage
    words = [parser.prog]
    words += [option(action).spelling for action in _shown(parser._actions) if not action.option_strings]
    words += [str(action.metavar) for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if any(action.option_strings for action in _shown(parser._actions)):
        words.append("[OPTION…]")
    return " ".join(words)


def sentence(text: str) -> str:
    """Turn a summary into a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def groups(parser: argparse.ArgumentParser) -> tuple[Group, ...]:
    """Return all options except those that print help; arguments and options without a group come last."""
    plain: list[Option] = []
    named = []
    for group in parser._action_groups:
        options = [option(action) for action in _shown(group._group_actions)]
        if group.title in ("positional arguments", "options"):
            plain += options
        elif options:
            named.append(Group(str(group.title), tuple(options)))
    return (*named, Group("options", tuple(plain))) if plain else tuple(named)


def option(action: argparse.Action) -> Option:
    """Return an option as users write it: all its names, then its value."""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    if not action.option_strings:
        spelled = {"?": f"[{value}]", "*": f"[{value}…]"}.get(str(action.nargs), str(value))
        return Option(spelled, action.help or "")
    forms: dict[Any, str] = {0: "", "?": f" [{value}]", "+": f" {value}…"}
    return Option(", ".join(action.option_strings) + forms.get(action.nargs, f" {value}"), action.help or "")


def text(parser: argparse.ArgumentParser, width: int, whole: bool) -> str:
    """
    Write the help of a command; only a single word may be wider than ``width``.

    Args:
        whole: Whether to list all options, even if the parser has most used ones.
    """
    first: Sequence[str] = () if whole else getattr(parser, "first", ())
    parts = [_wrapped(f"usage: {usage(parser)}", width, 7), _wrapped(sentence(parser.description or ""), width)]
    tables = [*_commands(parser), *(_most_used(parser, first) if first else _all_groups(parser))]
    longest = max(len(row.spelling) for table in tables for row in table.options)
    column = 2 + min(longest, _WIDEST, max(width - _NARROWEST - 4, 0)) + 2
    parts += [_table(table, column, width) for table in tables]
    parts += _examples(getattr(parser, "examples", ()), width)
    if first:
        parts.append([f"All options: {parser.prog} --help-all"])
    if parser.epilog:
        parts.append(_wrapped(parser.epilog, width))
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _shown(actions: Sequence[argparse.Action]) -> Iterator[argparse.Action]:
    return (each for each in actions if not isinstance(each, (argparse._HelpAction, argparse._SubParsersAction)))


def _commands(parser: argparse.ArgumentParser) -> Iterator[Group]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield Group("commands", tuple(Option(each.dest, each.help or "") for each in action._choices_actions))


def _most_used(parser: argparse.ArgumentParser, names: Sequence[str]) -> list[Group]:
    return [Group("most used options", tuple(option(parser._option_string_actions[name]) for name in names))]


def _all_groups(parser: argparse.ArgumentParser) -> list[Group]:
    *named, last = (*groups(parser), Group("options", ()))
    if named and named[-1].title == last.title:
        last = named.pop()
    helping = [option(action) for action in parser._actions if isinstance(action, argparse._HelpAction)]
    return [*named, Group(last.title, (*last.options, *helping))]


def _table(group: Group, column: int, width: int) -> list[str]:
    """Write a group's options, each with its text beside it, or below it if the option is too long."""
    lines = [f"{group.title}:"]
    for spelling, meaning in group.options:
        beside = _wrapped(meaning, width - column) if meaning else [""]
        head = f"  {spelling}"
        if len(head) + 2 > column:
            lines.append(head)
            head = ""
        lines.append((head.ljust(column) + beside[0]).rstrip())
        lines += [" " * column + line for line in beside[1:]]
    return [line for line in lines if line]


def _examples(examples: Sequence[Example], width: int) -> Iterator[list[str]]:
    if examples:
        lines = ["examples:" if len(examples) > 1 else "example:"]
        for what, line in examples:
            lines += [f"  {part}" for part in _wrapped(f"{what}:", width - 2)]
            # A command copied from the help must still be one command.
            *parts, last = _wrapped(line, width - 6, 2)
            lines += [*(f"    {part} \\" for part in parts), f"    {last}"]
        yield lines


def _wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Break a text into lines, only between words."""
    import textwrap

    after = " " * indent
    width = max(width, indent + 1)
    return textwrap.wrap(text, width, subsequent_indent=after, break_long_words=False, break_on_hyphens=False)
