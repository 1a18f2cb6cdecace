# SPDX-License-Identifier: Apache-2.0
"""Read a settings file: TOML, whose keys are long options, with tables for commands and for profiles."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomllib

from ansible_collections.madctl.multinode.plugins.module_utils._common.spelling import meant
from madctl.errors import UsageError, refused
from madctl.settings.entries import ENV, Command, Entry, Origin, shown
from madctl.settings.finding import Text

PROFILE = "profile"
_PROFILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
# The most lines of a statement; longer ones are read, but from there on the lines of keys are unknown.
_LONGEST = 100
# Shorter words are part of too many names to suggest one.
_SHORTEST = 3
_Lines = Mapping[tuple[str, ...], int]


@dataclass(frozen=True)
class File:
    """One file: its settings by table, and a digest of its content, by which it can be trusted."""

    path: str
    is_project: bool
    digest: str
    tables: Mapping[tuple[str, ...], Mapping[str, Entry]]
    profiles: Sequence[str]


def parse(text: Text, commands: Sequence[Command]) -> File:
    """
    Parse a file.

    Raises:
        UsageError: If it is not TOML, or has a key that is not an option.
    """
    data, lines = _data(text)
    reader = _Reader(text, commands, lines)
    reader.read(data, ())
    profiles = data.get(PROFILE, {})
    return File(text.path, text.is_project, digest(text.content), reader.found, list(profiles))


def digest(content: bytes) -> str:
    """Return the digest of a content."""
    return hashlib.sha256(content).hexdigest()


def _data(text: Text) -> tuple[dict[str, Any], _Lines]:
    try:
        decoded = text.content.decode("utf-8-sig").replace("\r\n", "\n")
        return tomllib.loads(decoded), _lines_of(decoded)
    except UnicodeDecodeError as error:
        line = text.content[: error.start].count(b"\n") + 1
        raise refused("SETTINGS_INVALID", f"{Origin(text.path, line)}: it is not UTF-8") from error
    except RecursionError as error:
        raise refused("SETTINGS_INVALID", f"{shown(text.path)}: it is nested too deeply") from error
    except ValueError as error:  # invalid TOML, or numbers with thousands of digits
        found = _AT.search(str(error))
        last = text.content.count(b"\n") + 1
        origin = Origin(text.path, int(found[1] or last) if found else None)
        why = _AT.sub("", str(error))
        remedy = 'write texts in quotes, as in hosts = "gpu[01-16]"' if why == "Invalid value" else None
        raise refused("SETTINGS_INVALID", f"{origin}: it is not TOML: {why}", remedy=remedy) from error


class _Reader:
    """Reads the tables of one file."""

    def __init__(self, text: Text, commands: Sequence[Command], lines: _Lines) -> None:
        self._text, self._commands, self._lines = text, commands, lines
        self.found: dict[tuple[str, ...], dict[str, Entry]] = {}

    def read(self, data: Mapping[str, Any], table: tuple[str, ...]) -> None:
        """Read one table, and the tables in it."""
        words = table[2:] if table[:1] == (PROFILE,) else table
        options = {key for command in self._of(words) for key in command.options}
        inner = {command.words[len(words)] for command in self._of(words) if len(command.words) > len(words)}
        for key, value in data.items():
            origin = self._origin(table, key)
            if key == PROFILE and not table:
                self._read_profiles(value, origin)
            elif key in inner and isinstance(value, dict):
                # A command may have the name of another one's option; a table means the command: only env takes one.
                self.read(value, (*table, key))
            elif key in options:
                self.found.setdefault(table, {})[key] = Entry(key, value, origin)
            else:
                known = {*options, *inner, *([PROFILE] if not table else [])}
                raise self._unknown(key, isinstance(value, dict), words, origin, known)

    def _read_profiles(self, value: Any, origin: Origin) -> None:
        if not isinstance(value, dict):
            remedy = "write a table [profile.NAME], and choose it by --profile NAME"
            raise refused("SETTINGS_INVALID", f"{origin}: profile takes a table for each profile", remedy=remedy)
        for name, table in value.items():
            at = self._origin((PROFILE,), name)
            if not isinstance(table, dict):
                remedy = "write a table [profile.NAME]"
                raise refused("SETTINGS_INVALID", f"{at}: {name} is not in a profile", remedy=remedy)
            if not _PROFILE_NAME.fullmatch(name):
                what = "up to 64 letters, digits, dots, underscores and hyphens"
                raise refused("SETTINGS_INVALID", f"{at}: a profile is called by {what}, not {name!r}")
            self.found.setdefault((PROFILE, name), {})
            self.read(table, (PROFILE, name))

    def _of(self, words: tuple[str, ...]) -> list[Command]:
        return [command for command in self._commands if command.words[: len(words)] == words]

    def _origin(self, table: tuple[str, ...], key: str) -> Origin:
        path = (*table, key)
        line = self._lines.get(path) or next(
            (at for name, at in self._lines.items() if name[: len(path)] == path), None
        )
        return Origin(self._text.path, line, table, self._text.is_project)

    def _unknown(self, key: str, is_table: bool, words: tuple[str, ...], origin: Origin, known: set[str]) -> UsageError:
        having = [command.name for command in self._commands if key in command.options]
        if having:
            message = f"{origin}: {' '.join(words)} has no option --{key}"
            return refused("SETTINGS_INVALID", message, remedy=f"commands that have it: {', '.join(having)}")
        place = f"of {' '.join(words)}" if words else "of any command"
        what = f"a table {place}" if is_table and words else "a command" if is_table else f"an option {place}"
        close = _meant(key.replace("_", "-"), known) or "madctl config --init writes a file with all settings"
        return refused("SETTINGS_INVALID", f"{origin}: {key!r} is not {what}", remedy=close)


def _lines_of(text: str) -> _Lines:
    """
    Find the line of every key, and of every table.

    ``tomllib`` does not tell. The file is valid, so a statement is complete as soon as its lines alone are valid.
    """
    found: dict[tuple[str, ...], int] = {}
    rows, at = text.split("\n"), 0
    table: tuple[str, ...] = ()
    while at < len(rows):
        statement, count = _statement(rows, at)
        if statement is None:
            break
        is_header = rows[at].lstrip().startswith("[")
        for path in _paths(statement):
            found.setdefault((*(() if is_header else table), *path), at + 1)
        if is_header:
            table = max(_paths(statement), key=len, default=())
        at += count
    return found


def _statement(rows: Sequence[str], at: int) -> tuple[dict[str, Any] | None, int]:
    for count in range(1, min(_LONGEST, len(rows) - at) + 1):
        try:
            return tomllib.loads("\n".join(rows[at : at + count])), count
        except (ValueError, RecursionError):
            continue
    return None, 0


def _paths(data: Any) -> list[tuple[str, ...]]:
    """Return the paths of keys in a statement, including those in inline tables."""
    found: list[tuple[str, ...]] = []
    if isinstance(data, dict):
        for key, value in data.items():
            found += [(key,), *((key, *path) for path in _paths(value) if key != ENV)]
    return found


def _meant(key: str, known: set[str]) -> str | None:
    """Suggest a known key if the given one may be a misspelled, shortened or lengthened form of it."""
    related = [name for name in known if _shares_a_word(key, name)]
    nearest = difflib.get_close_matches(key, sorted(related), 1, cutoff=0)
    return meant(key, known) or (f"did you mean {nearest[0]}?" if nearest else None)


def _shares_a_word(key: str, name: str) -> bool:
    """Return whether a key is part of a name, or begins with the first word of the name."""
    first = name.partition("-")[0]
    return len(key) >= _SHORTEST and key in name or len(first) > _SHORTEST and key.startswith(first)
