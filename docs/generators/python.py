# SPDX-License-Identifier: Apache-2.0
"""The types of the Python interface's keywords, from the parsers of the commands whose options they are."""

from __future__ import annotations

import argparse
import re

from madctl.api import keywords

_HEAD = '''# SPDX-License-Identifier: Apache-2.0
"""
The keywords of the Python interface and their types.

Written by ``make docs`` from the options of the command line; change those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import Any, Literal, TypedDict

Word = str | int | float | PathLike[str]
Words = Word | Sequence[Word]
Time = str | int | float | timedelta
Path = str | PathLike[str]
Pairs = Mapping[str, Word | None] | Words
'''
_OF_FORM = {"TIME": "Time", "PATH": "Path", "FILE": "Path", "LIST": "Words", "WORDS": "Words"}


def options() -> str:
    """Write the module with the types."""
    return "\n\n".join([_HEAD, _fields("launch", "LaunchOptions"), _fields("check", "CheckOptions")])


def _fields(command: str, name: str) -> str:
    actions = keywords.actions(command)
    lines = [f"    {key}: {_type(action)}" for key, action in sorted(actions.items())]
    about = f'    """The options of ``madctl.{command}``; None means not given."""\n'
    return "\n".join([f"class {name}(TypedDict, total=False):", about, *lines]) + "\n"


def _type(action: argparse.Action) -> str:
    form = action.metavar if isinstance(action.metavar, str) else ""
    if action.nargs == 0:
        return "bool | None"
    if action.choices:
        return f"Literal[{', '.join(map(_quoted, action.choices))}] | None"
    if "=" in form:
        return "Pairs | None"
    found = "Words" if type(action).__name__ in keywords.REPEATED else _OF_FORM.get(form, "Word")
    if action.dest in keywords.OF_DATA:
        found = "str | Mapping[str, Any]"
    if action.nargs == argparse.OPTIONAL:
        found = f"bool | {found}"
    return f"{found} | None"


def _quoted(word: object) -> str:
    assert re.fullmatch(r"[\w-]+", str(word))
    return f'"{word}"'
