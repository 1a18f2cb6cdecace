# SPDX-License-Identifier: Apache-2.0
"""One setting with its origin, and the options of commands that can be set."""

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
# These name the subject of one command, consent to it, choose the source of settings, or manage settings.
_NEVER = ("attempt", "all", "yes", "profile", "init", "trust")
# Options of a rerun change those of an earlier launch; the new launch gets settings as every launch does.
_WITHOUT = ("rerun",)
# Options that choose nodes: together they are one setting.
NODES = ("hosts", "hostfile", "inventory", "limit", "lab")
# For other commands, naming nodes changes the task: ps then queries them, and gc leaves out everything else.
_WITH_NODES = ("launch", "check", "inventory")
# Here the option has another meaning than for other commands.
_OTHERWISE = (("lab", "name"),)


@dataclass(frozen=True)
class Origin:
    """The origin of a setting: a line in a table of a file, or a variable."""

    path: str | None = None
    line: int | None = None
    table: tuple[str, ...] = ()
    is_project: bool = False
    variable: str | None = None

    def __str__(self) -> str:
        """Write it as compilers write positions."""
        if self.variable:
            return self.variable
        return shown(self.path or "") + (f":{self.line}" if self.line else "")

    @property
    def is_broad(self) -> bool:
        """Whether the setting is for every command that has the option."""
        commands = self.table[2:] if self.table[:1] == ("profile",) else self.table
        return not commands

    @property
    def source(self) -> str:
        """The kind of source."""
        return "environment" if self.variable else "project" if self.is_project else "user"


@dataclass(frozen=True)
class Entry:
    """One setting as written."""

    key: str
    value: Any
    origin: Origin


def shown(path: str) -> str:
    """Shorten a path so that it still works in the current directory."""
    try:
        here = os.path.relpath(path)
    except OSError:
        return path
    if not here.startswith(".."):
        return here
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if home != "/" and path.startswith(home + "/") else path


def located(error: MadctlError, origin: Origin) -> UsageError:
    """Turn the error of an option into the error of a setting."""
    return UsageError(*(_located(problem, origin) for problem in error.problems))


def _located(problem: Problem, origin: Origin) -> Problem:
    # Keys in files have no leading dashes.
    return replace(problem, message=f"{origin}: {problem.message.removeprefix('--')}")


@dataclass(frozen=True)
class Command:
    """One command: the words that start it, and the options that can be set, by key."""

    words: tuple[str, ...]
    parser: Parser
    options: Mapping[str, argparse.Action]

    @property
    def name(self) -> str:
        """The words that start the command."""
        return " ".join(self.words)

    @property
    def tables(self) -> list[tuple[str, ...]]:
        """The tables of a file that apply to the command, the most general first."""
        return [self.words[:count] for count in range(len(self.words) + 1)]

    def takes(self, entry: Entry) -> bool:
        """Return whether a setting applies to this command."""
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
