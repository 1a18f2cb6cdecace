# SPDX-License-Identifier: Apache-2.0
"""All settings with their values and origins, as rows and as data."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from madctl.settings import trust, values
from madctl.settings.applying import Sources
from madctl.settings.entries import ENV, Command, Entry, shown
from madctl.settings.merging import Setting

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
_HIDDEN = "***"


@dataclass(frozen=True)
class Row:
    """One setting, and the commands to which it applies; ``is_all`` if no other command has the option."""

    setting: Setting
    words: Sequence[str]
    commands: Sequence[str]
    is_all: bool
    needs_trust: bool
    is_trusted: bool


def rows(found: Sources, profile: str | None) -> list[Row]:
    """
    List the settings of all commands.

    Raises:
        UsageError: If a command does not take a setting.
    """
    groups: dict[tuple[str, Setting], list[Command]] = {}
    for command in found.commands:
        for key, setting in found.of(command, profile).items():
            values.parsed(command, setting.last)
            groups.setdefault((key, _Same(setting)), []).append(command)  # type: ignore[arg-type]
    return [_row(found, key, same.setting, having) for (key, same), having in groups.items()]  # type: ignore[attr-defined]


class _Same:
    """Compares settings by where they are written."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._identity = tuple((str(entry.origin), entry.origin.table) for entry in setting.entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)


def _row(found: Sources, key: str, setting: Setting, having: Sequence[Command]) -> Row:
    others = [command for command in found.commands if key in command.options]
    action = having[0].options[key]
    needs = any(trust.needs(action, entry) for entry in setting.entries)
    is_trusted = all(trust.is_trusted(file) for file in found.files)
    names = [command.name for command in having]
    words = [word for entry in setting.entries for word in written(action, entry)]
    if key == ENV:  # The last entry for a name counts.
        words = list({word.partition("=")[0]: word for word in words}.values())
    return Row(setting, words, names, len(having) == len(others), needs, is_trusted)


def written(action: argparse.Action, entry: Entry) -> list[str]:
    """Return the values of a setting as they would be typed, without probable secrets."""
    if action.nargs == 0 or isinstance(entry.value, bool):
        return ["true" if values.is_on(entry) else "false"]
    found = values.texts(action, entry)
    if entry.key == ENV:
        return [_harmless(text) for text in found]
    return [_without_path(text) for text in found] if action.metavar == "URL" else found


def _harmless(text: str) -> str:
    name, equals, _ = text.partition("=")
    return f"{name}={_HIDDEN}" if equals and _SECRET.search(name) else text


def _without_path(text: str) -> str:
    """Return an address without the parts that may hold a token."""
    scheme, colon, rest = text.partition("://")
    return f"{scheme}{colon}{rest.partition('/')[0].rpartition('@')[2]}/{_HIDDEN}" if colon else _HIDDEN


def lines(found: Sequence[Row]) -> list[tuple[str, str, str, str]]:
    """Return the rows of a table, its head first."""
    table = [("SETTING", "VALUE", "FROM", "FOR")]
    for row in found:
        table.append((row.setting.last.key, " ".join(row.words), _places(row), _for(row)))
    return table if found else []


def _places(row: Row) -> str:
    text = ", ".join(str(entry.origin) for entry in row.setting.entries)
    if row.needs_trust and not row.is_trusted:
        text += " (not trusted)"
    if row.setting.overridden:
        text += f" (not {', '.join(str(entry.origin) for entry in row.setting.overridden)})"
    return text


def _for(row: Row) -> str:
    return "all" if row.is_all and len(row.commands) > 1 else ", ".join(row.commands)


def data(found: Sources, shown_rows: Sequence[Row], profile: str | None) -> dict[str, Any]:
    """Return the settings as data."""
    files = [
        {
            "path": file.path,
            "source": "project" if file.is_project else "user",
            "trusted": trust.is_trusted(file),
            "profiles": list(file.profiles),
        }
        for file in found.files
    ]
    return {"files": files, "profile": profile, "settings": [_as_data(row) for row in shown_rows]}


def _as_data(row: Row) -> dict[str, Any]:
    last = row.setting.last
    return {
        "key": last.key,
        "values": list(row.words),
        "commands": list(row.commands),
        "from": [_origin(entry) for entry in row.setting.entries],
        "overrides": [_origin(entry) for entry in row.setting.overridden],
        "needs_trust": row.needs_trust,
    }


def _origin(entry: Entry) -> dict[str, Any]:
    origin = entry.origin
    table = ".".join(origin.table) or None
    about = {"path": origin.path, "line": origin.line, "table": table, "variable": origin.variable}
    return {"source": origin.source, **about}


def heads(found: Sources, shown_rows: Sequence[Row], profile: str | None) -> list[tuple[str, str]]:
    """Return the sources of settings, as rows of a table."""
    table = []
    is_trust_needed = any(row.needs_trust for row in shown_rows)
    for file in found.files:
        note = " (not trusted)" if is_trust_needed and not trust.is_trusted(file) else ""
        table.append(("project" if file.is_project else "user", shown(file.path) + note))
    if found.profiles:
        others = [name for name in found.profiles if name != profile]
        chosen = profile or "none"
        table.append(("profile", chosen + (f"; there is also {', '.join(others)}" if others else "")))
    return table
