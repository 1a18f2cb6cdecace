# SPDX-License-Identifier: Apache-2.0
"""
Keywords as options: a caller's keywords become the equivalent command line, which is then parsed.

So both accept and refuse the same values, with the same messages.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from numbers import Real
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import named_like_a_secret
from madctl.commands import check, launch
from madctl.errors import KeywordError, Problem
from madctl.request.parser import Parser

# argparse's actions for options that may be repeated.
REPEATED = ("_AppendAction", "_ExtendAction")
# Options whose text may also be passed as data.
OF_DATA = ("additional_context",)
_COMMANDS = {"launch": launch, "check": check}
# Python has another way for these, or they are about printing.
_LEFT_OUT = {
    "dry_run": "to start nothing, call madctl.check",
    "output": "results are objects; to print as the command line does, pass show=True",
    "with_secret": None,
    "profile": "settings are for the command line; pass keywords",
    "on_end": "wait for the run, then continue in Python",
    "notify": "wait for the run, and send what it returned",
    "help": None,
    "help_all": None,
}


@dataclass(frozen=True)
class Asked:
    """A parsed call: its options, and the environment that they refer to."""

    options: argparse.Namespace
    environment: Mapping[str, str]


def parsed(command: str, work: Sequence[Any], keywords: Mapping[str, Any]) -> Asked:
    """
    Parse a call.

    Args:
        command: ``launch`` or ``check``.
        work: The words of the work.
        keywords: Options by their long names, with underscores.

    Raises:
        KeywordError: If a keyword is unknown, or its value has the wrong type.
        UsageError: If an option does not take a value.
    """
    known, environment = actions(command), dict(os.environ)
    found = [word for name, value in keywords.items() for word in _words(command, known, name, value, environment)]
    options = _parser(command).parse_args([command, *found])
    options.work = [text("the work", word) for word in _flat(work)] or None
    options.notice = None
    return Asked(options, environment)


@cache
def _parser(command: str) -> Parser:
    parser = Parser(prog="madctl")
    _COMMANDS[command].register(parser.add_subparsers(dest="command", parser_class=Parser))
    return parser


@cache
def actions(command: str) -> dict[str, argparse.Action]:
    """Return the argparse action of each keyword."""
    known = _parser(command).commands[command]._actions
    longs = {option[2:].replace("-", "_"): one for one in known for option in one.option_strings if option[:2] == "--"}
    return {name: action for name, action in longs.items() if name not in _LEFT_OUT}


def _words(
    command: str, known: Mapping[str, argparse.Action], name: str, value: Any, environment: dict[str, str]
) -> Iterator[str]:
    """Yield the command-line words for a keyword; none if its value is None."""
    if name not in known:
        remedy = _LEFT_OUT.get(name) or kinds.meant(name, list(known)) or "see the options of madctl " + command
        raise KeywordError(Problem("USAGE", f"{command} takes no keyword {name}", remedy=remedy))
    action = known[name]
    option = next(one for one in action.option_strings if one.startswith("--"))
    if value is None:
        return
    if action.nargs == 0 or (action.nargs == argparse.OPTIONAL and isinstance(value, bool)):
        if not isinstance(value, bool):
            raise _unfit(name, "True or False", value)
        yield from [option] * value
        return
    for word in _texts(name, action, value):
        variable, equals, rest = word.partition("=")
        if name == "env" and equals and named_like_a_secret(variable):
            # Like values that are passed on from the environment, it is never shown.
            environment[variable], word = rest, variable
        yield f"{option}={word}"


def _texts(name: str, action: argparse.Action, value: Any) -> list[str]:
    """Return the values of an option as typed, one per repetition."""
    form = action.metavar if isinstance(action.metavar, str) else ""
    if isinstance(value, Mapping):
        if action.dest in OF_DATA:
            return [text(name, _json(name, value))]
        if "=" not in form:
            raise _unfit(name, "text, a number or a list", value)
        pairs = [(text(name, key), entry) for key, entry in value.items()]
        if any("=" in key for key, _ in pairs):
            raise KeywordError(Problem("USAGE", f"{name} takes names without =, or the whole as text"))
        return [key if entry is None else f"{key}={text(name, entry)}" for key, entry in pairs]
    many = [text(name, one) for one in _flat([value])]
    is_list = isinstance(value, list | tuple)
    if form == "WORDS":
        return [shlex.join(many) if is_list else many[0]]
    if type(action).__name__ in REPEATED:
        return many
    if is_list and form != "LIST":
        raise _unfit(name, "one value", value)
    return [",".join(many)]


def _json(name: str, value: Mapping[Any, Any]) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise _unfit(name, "data that JSON can write", value) from error


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def text(name: str, value: Any) -> str:
    """
    Write one value as on a command line, where words have no NUL bytes.

    Raises:
        KeywordError: If it is neither text nor a number.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, os.PathLike):
        value = os.fsdecode(os.fspath(value))
    if isinstance(value, bool) or not isinstance(value, str | Real):
        raise _unfit(name, "text or numbers", value)
    # The str() of a string enumeration may be the name of its member.
    written = str.__str__(value) if isinstance(value, str) else str(value)
    if "\0" in written:
        raise KeywordError(Problem("USAGE", f"{name} contains a NUL byte"))
    return written


def _unfit(name: str, words: str, value: Any) -> KeywordError:
    # Never show the value: it may be a secret.
    return KeywordError(Problem("USAGE", f"{name} takes {words}, not {type(value).__name__}"))
