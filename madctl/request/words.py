# SPDX-License-Identifier: Apache-2.0
"""
Split the words of a command line into madctl's own and the work.

The work begins after the first ``--``, or, for a command that takes work, with the first word that is not an option.
Pure.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from madctl.errors import Problem, refused
from madctl.request.parser import Parser

_WITH_WORK = ("launch", "check")
_LAB = "lab"
# The subcommands that run a command, and how many words come before it.
_IN_LAB = {"exec": 1, "slurm": 0}
_NODES = "nodes"
# Options whose values look like options, of another program or of madctl.
_WITH_OPTIONS = ("--mpi-args", "--sbatch-args", "--without")


class Words(NamedTuple):
    """The words of madctl; those of the work, None without work; and madctl's options that are passed to the work."""

    own: list[str]
    work: list[str] | None = None
    passed: Sequence[str] = ()

    @property
    def notice(self) -> Problem | None:
        """A notice about madctl's options that are passed to the work."""
        if not self.passed or not self.work:
            return None
        verb = "goes" if len(self.passed) == 1 else "go"
        remedy = f"write options of madctl before {self.work[0]}"
        return Problem("OPTION_PASSED_ON", f"{', '.join(self.passed)} {verb} to {self.work[0]}", remedy=remedy)


def split(arguments: Sequence[str], commands: Mapping[str, Parser]) -> Words:
    """
    Split a command line.

    Args:
        commands: The parser of each command.

    Raises:
        UsageError: If an option that selects nodes would be passed to the work without an explicit ``--``.
    """
    found = _beginning(arguments, commands)
    if found is None:
        return _at_separator(arguments)
    begin, parser = found
    work = list(arguments[begin:])
    passed = [name for name in _named(work[1:]) if name in parser._option_string_actions]
    selecting = {name for group in parser._action_groups if group.title == _NODES for name in _options(group)}
    for name in passed:
        if name in selecting:
            remedy = f"write {name} before {work[0]}, or -- before {work[0]} if it is an option of the job"
            raise refused("USAGE", f"{name} after {work[0]} would go to the job", remedy=remedy)
    return Words(list(arguments[:begin]), work, passed)


def _beginning(arguments: Sequence[str], commands: Mapping[str, Parser]) -> tuple[int, Parser] | None:
    """Return where the work begins, and the parser of its command; None if only ``--`` can begin it."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command not in (*_WITH_WORK, _LAB):
        return None
    parser = commands[command]
    places = list(_plain(arguments, arguments.index(command) + 1, parser))
    if command == _LAB:
        verb = arguments[places[0]] if places else ""
        if verb not in _IN_LAB:
            return None
        parser = parser.commands[verb]
        places = list(_plain(arguments, places[0] + 1, parser))
        if places and arguments[places[0]] != "--":
            places = places[_IN_LAB[verb] :]
    return (places[0], parser) if places and arguments[places[0]] != "--" else None


def _at_separator(arguments: Sequence[str]) -> Words:
    if "--" not in arguments:
        return Words(list(arguments))
    at = arguments.index("--")
    return Words(list(arguments[:at]), list(arguments[at + 1 :]))


def _plain(arguments: Sequence[str], at: int, parser: argparse.ArgumentParser) -> Iterator[int]:
    """Yield the positions of words that are neither options nor their values, and of the separator."""
    while at < len(arguments):
        word = arguments[at]
        if not is_option(word):
            yield at
        at += 1 + values_after(word, arguments[at + 1 :], parser)


def values_after(word: str, after: Sequence[str], parser: argparse.ArgumentParser) -> int:
    """Return how many of the words after an option are its values."""
    action = parser._option_string_actions.get(word)
    if action is None or action.nargs == 0:
        return 0
    if action.nargs is None:
        return 1
    count = next((place for place, word in enumerate(after) if is_option(word) or word == "--"), len(after))
    return min(count, 1) if action.nargs == argparse.OPTIONAL else count


def is_option(word: str) -> bool:
    """Return whether a word of a command line is an option, with or without a value."""
    return word.startswith("-") and word not in ("-", "--")


def _named(words: Sequence[str]) -> list[str]:
    own = words[: words.index("--")] if "--" in words else words
    return list(dict.fromkeys(word.partition("=")[0] for word in own if is_option(word)))


def _options(group: argparse._ArgumentGroup) -> Iterator[str]:
    for action in group._group_actions:
        yield from action.option_strings


def glued(arguments: Sequence[str]) -> list[str]:
    """Join options that take other programs' options with their values, which argparse would parse as ours."""
    left = iter(arguments)
    return [f"{word}={next(left, '')}" if word in _WITH_OPTIONS else word for word in left]
