# SPDX-License-Identifier: Apache-2.0
"""Parse settings into the same values as the command line does, with its parser and its errors."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_OPTION
from madctl.errors import UsageError, refused
from madctl.settings.entries import ENV, Command, Entry, located

# The forms of values in the help for options that name files on this machine, or any path.
_HERE = ("FILE", "DIRECTORY", "DIR", "DIR[:ro]")
_PATH = (*_HERE, "PATH", "PATH[:ro]")


def parsed(command: Command, entry: Entry) -> Any:
    """
    Parse a setting as its command parses the option; None leaves it unset.

    Raises:
        UsageError: If the option does not take that value.
    """
    action = command.options[entry.key]
    try:
        return _parsed(command, action, entry)
    except UsageError as error:
        raise located(error, entry.origin) from error
    except argparse.ArgumentError as error:
        raise located(refused("USAGE", f"{entry.key}: {error.message}"), entry.origin) from error


def _parsed(command: Command, action: argparse.Action, entry: Entry) -> Any:
    given, option = argparse.Namespace(), f"--{entry.key}"
    if action.nargs == 0:
        if not is_on(entry):
            return None
        action(command.parser, given, [], option)
    elif is_unset(entry):
        return None
    elif entry.value is True and action.nargs == argparse.OPTIONAL:
        action(command.parser, given, action.const, option)
    for text in texts(action, entry):
        action(command.parser, given, command.parser._get_values(action, [text]), option)
    return getattr(given, action.dest, [])


def is_unset(entry: Entry) -> bool:
    """Return whether a setting only cancels a weaker one."""
    return entry.value is False and entry.key != ENV


def is_on(entry: Entry) -> bool:
    """
    Return whether a switch is on.

    Raises:
        UsageError: If it is neither on nor off.
    """
    if isinstance(entry.value, bool):
        return entry.value
    if entry.origin.variable:
        try:
            return bool(kinds.SWITCH.parse(entry.value))
        except kinds.UnfitError:
            pass
    raise refused("USAGE", f"--{entry.key} takes true or false, not {_written(entry.value)}")


def texts(action: argparse.Action, entry: Entry) -> list[str]:
    """
    Return the values of a setting as they would be typed.

    Raises:
        UsageError: If the setting is not text, or has several values for an option that takes one.
    """
    if action.nargs == 0 or is_unset(entry) or entry.value is True and action.nargs == argparse.OPTIONAL:
        return []
    if is_list(action) and entry.origin.variable:
        try:
            given: Sequence[Any] = shlex.split(entry.value)
        except ValueError as error:
            remedy = "quote it as for a shell, because it is a list"
            raise refused("USAGE", f"--{entry.key} cannot be split into words: {error}", remedy=remedy) from error
    elif entry.key == ENV and isinstance(entry.value, dict):
        given = [f"{name}={_text(entry, one)}" for name, one in entry.value.items()]
    elif is_list(action) and isinstance(entry.value, list):
        given = entry.value
    else:
        given = [entry.value]
    return [_placed(action, entry, _text(entry, one)) for one in given]


def is_list(action: argparse.Action) -> bool:
    """Return whether an option may be repeated."""
    return isinstance(action, (argparse._AppendAction, argparse._ExtendAction)) or action.nargs in ("+", "*")


def takes(action: argparse.Action, key: str) -> str:
    """Describe the values that a file may have for an option."""
    if action.nargs == 0:
        return "true or false"
    if key == ENV:
        return "a table of NAME = value, or a list of NAME or NAME=VALUE"
    switch = "true, " if action.nargs == argparse.OPTIONAL else ""
    return switch + ("a text, or a list of texts" if is_list(action) else "a text or a number")


def _text(entry: Entry, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        what = "a text or a number" if value is entry.value else "texts and numbers"
        is_one = isinstance(value, list) and value is entry.value
        remedy = "write one text, as on the command line" if is_one else None
        raise refused("USAGE", f"--{entry.key} takes {what}, not {_written(value)}", remedy=remedy)
    if "\0" in str(value):
        raise refused("USAGE", f"--{entry.key} takes text without NUL characters")
    return str(value)


def _written(value: Any) -> str:
    """Write a value as in TOML; if it may be long or secret, write only its type."""
    if isinstance(value, bool):
        return str(value).lower()
    names: dict[type, str] = {dict: "a table", list: "a list", str: "a text"}
    return names.get(type(value)) or (str(value) if isinstance(value, (int, float)) else "a date or a time")


def is_path_here(action: argparse.Action, key: str) -> bool:
    """Return whether the value of an option is a path on this machine."""
    return key == "inventory" or action.metavar in _HERE


def _placed(action: argparse.Action, entry: Entry, text: str) -> str:
    """Resolve a path in a settings file: relative to the directory of that file, and with ~ as in a shell."""
    if entry.origin.path is None or not (action.metavar in _PATH or is_path_here(action, entry.key)):
        return text
    row = BY_OPTION.get(f"--{entry.key}")
    if text == "~" or text.startswith("~/"):
        return text if row and row.kind is kinds.HOME_PATH else os.path.expanduser(text)
    if not is_path_here(action, entry.key) or not text or entry.key == "inventory" and "," in text:
        return text
    # Remove ".", but keep "..", because it may follow a link.
    return str(PurePosixPath(os.path.dirname(entry.origin.path), text))
