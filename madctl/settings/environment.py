# SPDX-License-Identifier: Apache-2.0
"""Settings in environment variables: ``MADCTL_HOSTS`` is ``--hosts``, unless madctl sets the variable for jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses, pods, run_directory
from madctl.errors import DEBUG, Problem
from madctl.settings.entries import Command, Entry, Origin, variable
from madctl.settings.finding import PREFIX

PROFILE = "MADCTL_PROFILE"
_TIMING = "MADCTL_TIMING"
_OWN = {PROFILE, DEBUG, _TIMING, addresses.CAME_IN_BY, pods.NODE}
# How similar a name must be to count as misspelled: jobs and users have variables of their own.
_CLOSE = 0.8


def of_jobs() -> set[str]:
    """Return the variables that madctl gives to jobs and to its own programs, which are never settings."""
    named = {value for value in vars(run_directory).values() if isinstance(value, str) and value.startswith(PREFIX)}
    return {*(name.rstrip("=") for name in named), *_OWN}


def variables(commands: Sequence[Command]) -> dict[str, str]:
    """Return the key of each variable that is a setting."""
    keys = {key for command in commands for key in command.options}
    return {variable(key): key for key in sorted(keys) if variable(key) not in of_jobs()}


def entries(commands: Sequence[Command], environment: Mapping[str, str]) -> dict[str, Entry]:
    """Return the settings in the environment; empty variables do not count."""
    known = variables(commands)
    set_ = {known[name]: (name, value) for name, value in environment.items() if value and name in known}
    return {key: Entry(key, value, Origin(variable=name)) for key, (name, value) in set_.items()}


def misspelled(commands: Sequence[Command], environment: Mapping[str, str]) -> list[Problem]:
    """Return notices about variables that look like misspelled settings; not in a job, which may have its own."""
    import difflib

    known = variables(commands)
    if run_directory.RUN_ID in environment:
        return []
    found = []
    for name in environment:
        if name.startswith(PREFIX) and name not in known and name not in of_jobs():
            ending = name[len(PREFIX) :]
            close = difflib.get_close_matches(ending, [each[len(PREFIX) :] for each in known], 1, _CLOSE)
            if close:
                remedy = f"did you mean {PREFIX}{close[0]}?"
                found.append(Problem("SETTING_UNKNOWN", f"{name} is not a setting", remedy=remedy))
    return found
