# SPDX-License-Identifier: Apache-2.0
"""Which setting wins: the environment, then a chosen profile, then the project, then the user. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from madctl.errors import UsageError
from madctl.settings import values
from madctl.settings.entries import ENV, NODES, Command, Entry
from madctl.settings.reading import PROFILE, File

# Options that are alternatives: the one that wins replaces all others of its group.
_GROUPS = (NODES, ("gpus-per-node", "gres"))
# --limit selects hosts of an inventory, which may be set elsewhere.
_LIMIT, _INVENTORY = "limit", "inventory"


@dataclass(frozen=True)
class Setting:
    """A setting of one command: the entries that count, of which the last wins, and those that are overridden."""

    entries: tuple[Entry, ...]
    overridden: tuple[Entry, ...] = ()

    @property
    def last(self) -> Entry:
        """The entry that wins."""
        return self.entries[-1]


Layer = Mapping[str, Entry]


def layers(
    command: Command, files: Sequence[File], environment: Layer, profile: str | None, commands: Sequence[Command]
) -> list[Layer]:
    """
    Return the layers of settings for one command, the weakest first.

    Args:
        files: The user's, then the project's.

    Raises:
        UsageError: If no command takes the value of a setting for all commands.
    """
    places: list[Layer] = [file.tables.get(table, {}) for file in files for table in command.tables]
    if profile is not None:
        places += [file.tables.get((PROFILE, profile, *table), {}) for file in files for table in command.tables]
    return [_of(command, place, commands) for place in (*places, environment)]


def _of(command: Command, layer: Layer, commands: Sequence[Command]) -> Layer:
    return {key: entry for key, entry in layer.items() if command.takes(entry) and _fits(command, entry, commands)}


def _fits(command: Command, entry: Entry, commands: Sequence[Command]) -> bool:
    """Return whether a command takes a value that is set for all commands: some have their own choices."""
    if not entry.origin.is_broad:
        return True
    try:
        values.parsed(command, entry)
    except UsageError:
        for other in commands:
            if other is not command and other.takes(entry) and _is_parsed(other, entry):
                return False
        raise
    return True


def _is_parsed(command: Command, entry: Entry) -> bool:
    try:
        values.parsed(command, entry)
    except UsageError:
        return False
    return True


def merged(found: Sequence[Layer]) -> dict[str, Setting]:
    """Merge layers, the weakest first; variables of jobs are merged by name, everything else is replaced."""
    result: dict[str, Setting] = {}
    for layer in found:
        gone = {key for group in _GROUPS for key in without(group, set(layer)) if key in result}
        result = {key: setting for key, setting in result.items() if key not in gone}
        for key, entry in layer.items():
            before = result.get(key)
            if before is None:
                result[key] = Setting((entry,))
            elif key == ENV:
                result[key] = Setting((*before.entries, entry))
            else:
                result[key] = Setting((entry,), (*before.overridden, *before.entries))
    return result


def without(group: Sequence[str], given: set[str]) -> set[str]:
    """Return the options of a group that do not count if a stronger layer sets others of the group."""
    chosen = given & set(group)
    if not chosen:
        return set()
    return set(group) - chosen - ({_INVENTORY} if chosen == {_LIMIT} else set())


def replaced(typed: set[str]) -> set[str]:
    """Return the options that do not count because of typed ones."""
    return {key for group in _GROUPS for key in without(group, typed)}
