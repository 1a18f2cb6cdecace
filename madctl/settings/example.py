# SPDX-License-Identifier: Apache-2.0
"""The example of a settings file, from the parser: every setting once, as a comment, with its help. Pure."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator

from madctl.request.parser import Parser
from madctl.settings import values
from madctl.settings.entries import ENV, Command, commands

_HEAD = """\
# Settings of madctl for this directory and those below it. madctl config shows which apply.
#
# A key is an option without its dashes. At the top it applies to every command that has the option, in [launch] to that
# command alone, in [profile.NAME] where --profile NAME is given. The command line wins, then MADCTL_... variables, then
# a profile, then this file, then your own file.
"""
# Settings that most projects need, with realistic values instead of placeholders.
_FIRST = {
    "hosts": '"gpu[01-16]"',
    "user": '"train"',
    "python": '"/opt/venv/bin/python3"',
    "interface": '"10.0.0.0/16"',
    "shared-path": '["/nfs/data:ro", "/nfs/runs"]',
    "sync": '"."',
    "setup": '"module load rocm"',
    "env": '["WANDB_API_KEY", "NCCL_DEBUG=INFO"]',
    "nproc-per-node": "8",
    "timeout": '"12h"',
}
_PROFILE = """\
# ---- a profile: madctl launch --profile debug --------------------------------

# [profile.debug]
# nproc-per-node = 1
# timeout = "10m"

# [profile.debug.launch]
# env = { NCCL_DEBUG = "INFO" }
"""


def text(parser: Parser) -> str:
    """Write the example, which consists only of comments."""
    found = list(commands(parser))
    known = {key: action for command in reversed(found) for key, action in command.options.items()}
    top = [(key, value, known[key]) for key, value in _FIRST.items() if key in known]
    parts = [_HEAD, *(_setting(key, value, action) for key, value, action in top)]
    parts += [
        "# Tables come after all of the above. The other settings follow, each under the first command that has it."
    ]
    seen = {key for key, _, _ in top}
    for command in found:
        new = [key for key in command.options if key not in seen]
        seen |= set(new)
        if new:
            parts.append(f"# ---- madctl {command.name} ".ljust(80, "-"))
            parts.append(f"# [{'.'.join(command.words)}]")
            parts += [_setting(key, _value(command, key), command.options[key]) for key in new]
    return "\n".join([*parts, _PROFILE])


def _setting(key: str, value: str, action: argparse.Action) -> str:
    return "\n".join([*_wrapped(action.help or ""), f"# {key} = {value}", ""])


def _wrapped(about: str) -> Iterator[str]:
    for line in textwrap.wrap(about, 76, break_long_words=False, break_on_hyphens=False):
        yield f"## {line}"


def _value(command: Command, key: str) -> str:
    """Return a placeholder in the form of a value."""
    action = command.options[key]
    if action.nargs == 0:
        return "true"
    word = str(next(iter(action.choices))) if action.choices else str(action.metavar or key.upper())
    return f'["{word}"]' if values.is_list(action) and key != ENV else f'"{word}"'
