# SPDX-License-Identifier: Apache-2.0
"""Complete a parsed command line from settings, and add their origins to errors about them."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.spelling import meant
from madctl.errors import Problem, refused
from madctl.request.parser import Parser
from madctl.settings import environment, finding, fitting, merging, reading, trust, values
from madctl.settings.entries import ENV, Command, Entry, commands, shown
from madctl.settings.merging import Setting
from madctl.settings.reading import File

# Shorter values may match any word of a message.
_SHORTEST = 3
_FREE_TEXT = "note"


@dataclass(frozen=True)
class Sources:
    """All settings that can be found from the current directory, and the commands that have options."""

    commands: Sequence[Command]
    files: Sequence[File] = ()
    variables: Mapping[str, Entry] = field(default_factory=dict)

    @property
    def profiles(self) -> list[str]:
        """The names of all profiles."""
        return list(dict.fromkeys(name for file in self.files for name in file.profiles))

    def of(self, command: Command, profile: str | None) -> dict[str, Setting]:
        """
        Return the settings of a command.

        Raises:
            UsageError: If the command does not take a setting.
        """
        return merging.merged(merging.layers(command, self.files, self.variables, profile, self.commands))

    def require_trust(self, command: Command, setting: Setting) -> None:
        """
        Refuse a setting that needs trust if the project's file is not trusted.

        Raises:
            UsageError: If the setting is refused.
        """
        for entry in setting.entries:
            if trust.needs(command.options[entry.key], entry):
                (file,) = [file for file in self.files if file.is_project]
                if not trust.is_trusted(file):
                    raise trust.refusal(entry)


def sources(parser: Parser) -> Sources:
    """
    Find all settings.

    Raises:
        UsageError: If a file is refused.
    """
    found = list(commands(parser))
    files = [reading.parse(text, found) for text in finding.texts()]
    return Sources(found, files, environment.entries(found, os.environ))


def profile_of(options: argparse.Namespace, found: Sources) -> str | None:
    """
    Return the chosen profile, if any.

    Raises:
        UsageError: If no file has it.
    """
    typed = getattr(options, "profile", None)
    name = typed if typed is not None else os.environ.get(environment.PROFILE) or None
    if name is None or name in found.profiles:
        return name
    if not hasattr(options, "profile"):
        return None  # The variable is meant for commands that have profiles.
    what = "--profile" if typed is not None else environment.PROFILE
    places = " or ".join(shown(file.path) for file in found.files) or f"{finding.NAME}, and there is no such file"
    remedy = meant(name, found.profiles) or "see madctl config"
    raise refused("PROFILE_UNKNOWN", f"{what}: there is no profile {name!r} in {places}", remedy=remedy)


def apply(options: argparse.Namespace, parser: Parser, parse: Callable[[], argparse.Namespace]) -> list[Problem]:
    """
    Set options that were not typed from settings.

    Args:
        options: The parsed options, which are changed in place.
        parse: Parses the same command line again.

    Returns:
        Notices.

    Raises:
        UsageError: If settings are refused.
    """
    command = next((each for each in commands(parser) if each.words == _words(options)), None)
    if command is None:
        return []
    found = sources(parser)
    profile = profile_of(options, found)
    typed = _typed(command, parse)
    settings = found.of(command, profile)
    gone = merging.replaced(typed)
    chosen = {key: one for key, one in settings.items() if key not in gone and (key not in typed or key == ENV)}
    before = dict(vars(options))
    for key, setting in chosen.items():
        _set(options, command, setting, key in typed)
    left_out = fitting.unfit(options)
    for key in left_out & chosen.keys():
        setattr(options, command.options[key].dest, before[command.options[key].dest])
    options.settings = {key: one for key, one in chosen.items() if key not in left_out}
    for setting in options.settings.values():
        found.require_trust(command, setting)
    return environment.misspelled(found.commands, os.environ)


def _words(options: argparse.Namespace) -> tuple[str, ...]:
    verb = getattr(options, "verb", None)
    return (options.command, verb) if verb else (options.command,)


class _Untyped(list[Any]):
    """A default that can be recognised after parsing, and to which values can be appended."""


def _typed(command: Command, parse: Callable[[], argparse.Namespace]) -> set[str]:
    """Return the keys of options that were typed: argparse itself does not distinguish them from defaults."""
    mark = _Untyped()
    defaults = {key: action.default for key, action in command.options.items()}
    try:
        for action in command.options.values():
            action.default = mark
        options = parse()
    finally:
        for key, action in command.options.items():
            action.default = defaults[key]
    return {key for key, action in command.options.items() if getattr(options, action.dest) is not mark}


def _set(options: argparse.Namespace, command: Command, setting: Setting, is_typed: bool) -> None:
    action = command.options[setting.last.key]
    if setting.last.key != ENV:
        value = values.parsed(command, setting.last)
        if value is not None:
            setattr(options, action.dest, value)
        return
    lines = [line for entry in setting.entries for line in values.parsed(command, entry)]
    own = getattr(options, action.dest) if is_typed else []
    # The last entry for a name counts, and typed ones come last.
    setattr(options, action.dest, [*lines, *own])


def explained(problems: Sequence[Problem], settings: Mapping[str, Setting]) -> tuple[Problem, ...]:
    """Add to problems where the options that they are about were set, unless those were typed."""
    return tuple(_explained(problem, settings) for problem in problems)


def _explained(problem: Problem, settings: Mapping[str, Setting]) -> Problem:
    said = f"{problem.message} {problem.remedy or ''}"
    named = [key for key in settings if re.search(rf"(?<![\w-])--{re.escape(key)}(?![\w-])", said)]
    quoted = [key for key, one in settings.items() if key != _FREE_TEXT and _is_quoted(one.last.value, said)]
    blamed = [(key, _blamed(key, settings[key], said)) for key in named or quoted]
    places = [f"{key} is from {entry.origin}" for key, entry in blamed if entry]
    return replace(problem, message=f"{problem.message} ({', '.join(places)})") if places else problem


def _blamed(key: str, setting: Setting, said: str) -> Entry | None:
    """Return the entry that a problem is about; None if it is about a variable that was typed."""
    names = re.findall(rf"--{ENV} (\w+)", said) if key == ENV else []
    entries = [
        entry
        for entry in setting.entries
        if not names or any(re.search(rf"(?<!\w){name}(?!\w)", str(entry.value)) for name in names)
    ]
    return entries[-1] if entries else None


def _is_quoted(value: Any, text: str) -> bool:
    parts = value if isinstance(value, list) else [value]
    words = [part for part in parts if isinstance(part, str) and len(part) >= _SHORTEST]
    return any(re.search(rf"(?<![\w/.-]){re.escape(word)}(?![\w/-])", text) for word in words)
