# SPDX-License-Identifier: Apache-2.0
"""The reference page for settings, from the parser."""

from madctl.cli import build_parser
from madctl.settings import environment, trust, values
from madctl.settings.entries import commands

INTRODUCTION = """\
# Settings

Options that can be set in `madctl.toml`, and in which variable; [how, and what wins](../how_to/settings.md). What each
of them does is on [the page of its command](commands.md). `make docs` generates this page from the parser.

| key | takes | variable | commands |
|---|---|---|---|
"""
TRUST = "\n¹ In a project's file only once that is [trusted](../how_to/settings.md#trust-a-projects-file).\n"


def settings() -> str:
    """Return the page of all settings."""
    found = list(commands(build_parser()))
    variables = {key: name for name, key in environment.variables(found).items()}
    rows = []
    for key in sorted({key for command in found for key in command.options}):
        having = [command for command in found if key in command.options]
        action = having[0].options[key]
        mark = "¹" if key in trust.RISKY else ""
        name = f"`{variables[key]}`" if key in variables else "–"
        names = ", ".join(f"`{command.name}`" for command in having)
        rows.append(f"| `{key}`{mark} | {values.takes(action, key)} | {name} | {names} |")
    return INTRODUCTION + "\n".join(rows) + "\n" + TRUST
