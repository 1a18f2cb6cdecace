# SPDX-License-Identifier: Apache-2.0
"""One setting, where it is from, and which options of which commands can be set."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from madctl.errors import MadctlError, Problem, UsageError
from madctl.request.parser import Parser
from madctl.settings.finding import PREFIX

ENV = "env"
# They say what one command is about, or consent to it, or where settings are from, or what is done with them.
_NEVER = ("attempt", "all", "yes", "profile", "init", "trust")
# What a rerun may be given are changes of an earlier launch, which gets its settings as every launch does.
_WITHOUT = ("rerun",)
# Options that choose nodes: together they are one setting.
NODES = ("hosts", "hostfile", "inventory", "limit", "lab")
# For others, nodes that are named change the question: ps then asks them, and gc leaves out everything else.
_WITH_NODES = ("launch", "check", "inventory")
# Where the option means something else than the one of other commands.
_OTHERWISE = (("lab", "name"),)


@dataclass(frozen=True)
class Origin:
    """Where a setting is from: a line of a file, in a table, or a variable."""

    path: str | None = None
    line: int | None = None
    table: tuple[str, ...] = ()
    is_project: bool = False
    variable: str | None = None

    def __str__(self) -> str:
        """Write it as compilers do."""
        if self.variable:
            return self.variable
        return shown(self.path or "") + (f":{self.line}" if self.line else "")

    @property
    def is_broad(self) -> bool:
        """Whether it is meant for every command that has the option."""
        commands = self.table[2:] if self.table[:1] == ("profile",) else self.table
        return not commands

    @property
    def source(self) -> str:
        """What kind of source it is."""
        return "environment" if self.variable else "project" if self.is_project else "user"


@dataclass(frozen=True)
class Entry:
    """One setting as it was written."""

    key: str
    value: Any
    origin: Origin


def shown(path: str) -> str:
    """Write a path as briefly as a reader here still finds it."""
    try:
        here = os.path.relpath(path)
    except OSError:
        return path
    if not here.startswith(".."):
        return here
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if home != "/" and path.startswith(home + "/") else path


def located(error: MadctlError, origin: Origin) -> UsageError:
    """Make the error of an option the error of a setting."""
    return UsageError(*(_located(problem, origin) for problem in error.problems))


def _located(problem: Problem, origin: Origin) -> Problem:
    # The key of a file has no dashes.
    return replace(problem, message=f"{origin}: {problem.message.removeprefix('--')}")


@dataclass(frozen=True)
class Command:
    """One command, the words that start it, and the options that can be set, by key."""

    words: tuple[str, ...]
    parser: Parser
    options: Mapping[str, argparse.Action]

    @property
    def name(self) -> str:
        """The words that start it."""
        return " ".join(self.words)

    @property
    def tables(self) -> list[tuple[str, ...]]:
        """The tables of a file that are about it, the most general first."""
        return [self.words[:count] for count in range(len(self.words) + 1)]

    def takes(self, entry: Entry) -> bool:
        """Return whether a setting is about this command."""
        if entry.key not in self.options:
            return False
        if not entry.origin.is_broad:
            return True
        if entry.key in NODES and self.words[0] not in _WITH_NODES:
            return False
        return (self.words[0], entry.key) not in _OTHERWISE


def commands(parser: Parser, words: tuple[str, ...] = ()) -> Iterator[Command]:
    """Yield every command whose options can be set, and its subcommands."""
    for name, child in parser.commands.items():
        if name in _WITHOUT and not words:
            continue
        found = {key: action for action in child._actions for key in _keys(action)}
        if found and not child.commands:
            yield Command((*words, name), child, found)
        yield from commands(child, (*words, name))


def _keys(action: argparse.Action) -> list[str]:
    if isinstance(action, argparse._HelpAction):
        return []
    long = [word[2:] for word in action.option_strings if word.startswith("--")]
    return [key for key in long if key not in _NEVER]


def variable(key: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + key.upper().replace("-", "_")
