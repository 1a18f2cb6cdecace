# SPDX-License-Identifier: Apache-2.0
"""
The typed command line of a launch: as its record keeps it, without possible secrets, and as a rerun changes it.

The record has ``options``, each with its values; ``work``, the words of the job; ``withheld``, the options, and the
variables as ``--env NAME``, whose typed values are not kept; and the ``directory`` of the launch. Pure.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import launchers
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined, pack, unpack
from madctl.request.words import is_option, values_after

ENV = "--env"
# Tokens in an address or in a context cannot be told from other text.
_WITHHELD = ("--additional-context", "--notify")
_MPI_ARGS = "--mpi-args"
# The user of the rerun chooses the output format again.
_OF_READERS = {"--output"}
# Variables in mpirun's own forms: -x NAME=VALUE, or a list of variables.
_VARIABLE = re.compile(r"(?:-x)?[A-Za-z_]\w*=")
# Options that select nodes, and the earlier options that each replaces.
_INSTEAD = {
    "--hosts": ("--hostfile", "--inventory", "--limit"),
    "--hostfile": ("--hosts", "--inventory", "--limit"),
    "--inventory": ("--hosts", "--hostfile", "--lab"),
    "--lab": ("--inventory", "--limit"),
}


class Option(NamedTuple):
    """One option as typed, by its long name."""

    name: str
    values: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The option as words of a command line, which parse to the same option."""
        if len(self.values) == 1 and self.values[0].startswith("-"):
            return [f"{self.name}={self.values[0]}"]
        return [self.name, *self.values]


class Typed(NamedTuple):
    """The typed options and work of a launch, and the names of values that were not kept."""

    options: tuple[Option, ...]
    work: list[str] | None
    withheld: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The words after ``madctl launch``."""
        own = [word for option in self.options for word in option.words]
        return own if self.work is None else [*own, "--", *self.work]

    @property
    def line(self) -> str:
        """The command line, for people."""
        return joined(list(map(pack, ["madctl", "launch", *self.words])))

    @property
    def variables(self) -> list[str]:
        """The names of variables whose values were not kept."""
        return [name.partition(" ")[2] for name in self.withheld if name.startswith(f"{ENV} ")]


def options_of(own: Sequence[str], parser: argparse.ArgumentParser) -> list[Option]:
    """
    Return the options in madctl's own part of a command line.

    Args:
        own: The words after the command.
        parser: The parser of the command.
    """
    known, found, at = parser._option_string_actions, [], 0
    while at < len(own):
        word = own[at]
        at += 1
        if not is_option(word):
            continue
        count = values_after(word, own[at:], parser)
        name, equals, value = word.partition("=")
        if word not in known and name not in known and word[:2] in known and not word.startswith("--"):
            name, equals, value = word[:2], "=", word[2:]
        inline = (value,) if equals and word not in known else ()
        if name in known:  # Words that the parser took for arguments, such as -1, are not options.
            found.append(Option(known[name].option_strings[-1], (*inline, *own[at : at + count])))
        at += count
    return found


def without_secrets(options: Sequence[Option], work: list[str] | None) -> Typed:
    """Return what a record keeps: no values of variables, and no options that may hold a secret."""
    kept: list[Option] = []
    withheld: dict[str, None] = {}
    for option in options:
        value = option.values[0] if option.values else ""
        name, equals, _ = value.partition("=")
        if option.name == ENV:
            kept.append(Option(ENV, (name,)))
            # Only the last entry for a name counts.
            withheld.pop(f"{ENV} {name}", None)
            if equals:
                withheld[f"{ENV} {name}"] = None
        elif option.name in _WITHHELD or option.name == _MPI_ARGS and _sets_variables(value):
            withheld[option.name] = None
        else:
            kept.append(option)
    return Typed(tuple(kept), work, tuple(withheld))


def _sets_variables(text: str) -> bool:
    try:
        words = shlex.split(text)
    except ValueError:
        return True
    return any(_VARIABLE.match(word) or word.startswith("-") and "env" in word for word in words)


def dumped(typed: Typed, directory: str) -> dict[str, Any]:
    """Return a command line in the form that a record keeps."""
    return {
        "options": [list(map(pack, [option.name, *option.values])) for option in typed.options],
        "work": None if typed.work is None else list(map(pack, typed.work)),
        "withheld": list(typed.withheld),
        "directory": pack(directory),
    }


def loaded(record: Mapping[str, Any]) -> Typed:
    """Return a command line from a record."""
    options = [Option(unpack(name), tuple(map(unpack, values))) for name, *values in record["options"]]
    work = record["work"]
    return Typed(tuple(options), None if work is None else list(map(unpack, work)), tuple(record["withheld"]))


def changed(typed: Typed, changes: Sequence[Option], without: Sequence[str], arguments: list[str] | None) -> Typed:
    """
    Return a command line with changes.

    Args:
        changes: Options, each of which replaces all of the same name, or, for ``--env``, of the same variable.
        without: Names of options to leave out.
        arguments: New arguments of the script; None to keep the earlier ones.
    """
    names = {option.name for option in changes}
    gone = (names - {ENV}) | _OF_READERS | set(without) | {other for name in names for other in _INSTEAD.get(name, ())}
    variables = {_variable(option) for option in changes if option.name == ENV}
    options = [
        option
        for option in typed.options
        if option.name not in gone and not (option.name == ENV and _variable(option) in variables)
    ]
    said = gone | {f"{ENV} {name}" for name in (typed.variables if ENV in without else variables)}
    work = typed.work if arguments is None else [*_beginning(typed), *arguments]
    return Typed((*options, *changes), work, tuple(name for name in typed.withheld if name not in said))


def _variable(option: Option) -> str:
    return "".join(option.values[:1]).partition("=")[0]


def _beginning(typed: Typed) -> list[str]:
    """Return the work up to the script or module that it runs; nothing if all words are arguments."""
    work = typed.work or []
    if not work or any(option.name == "--tags" for option in typed.options):
        return []
    inner = launchers.unwrapped(work)
    at = len(work) - len(inner)
    if not inner or work[at:] != inner:
        return work[:1]
    if inner[0] == "-m":
        return work[: at + 2]
    if launchers.is_python(inner[0]):
        return work[: len(work) - len(launchers.python_target(inner[1:])[2])]
    script = launchers.script_of(inner)
    return work[: at + (inner.index(script) if script else 0) + 1]
