# SPDX-License-Identifier: Apache-2.0
"""``madctl config``: show settings and their origins, write an example, or trust a file."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from madctl.errors import refused
from madctl.request.options import add_command, add_output_option, add_profile_option

if TYPE_CHECKING:
    from madctl.settings.applying import Sources

_EXAMPLES = (
    ("write a madctl.toml with all settings, each in a comment", "madctl config --init"),
    ("show which settings apply in this directory, and where each is from", "madctl config"),
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = (
        "Show every setting and where it is from: madctl.toml in this directory or above, your own file, environment."
    )
    parser = add_command(commands, "config", run, "show settings and where they are from", about, _EXAMPLES)
    add_profile_option(parser)
    actions = parser.add_mutually_exclusive_group()
    what = "write an example to madctl.toml in this directory, with a comment for each setting"
    actions.add_argument("--init", action="store_true", help=what)
    what = "let the madctl.toml of this project, as it is now, set what runs programs or reads files on this machine"
    actions.add_argument("--trust", action="store_true", help=what)
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print a table, or carry out the requested change."""
    if options.init:
        return _init(options)
    from madctl.screen.problems import print_answer
    from madctl.settings import applying, finding, listing

    found = applying.sources(options.parser)
    if options.trust:
        return _trust(options, found)
    profile = applying.profile_of(options, found)
    rows = listing.rows(found, profile)
    lines = columns.aligned(listing.heads(found, rows, profile))
    lines += [""] * bool(lines and rows) + columns.aligned(listing.lines(rows))
    if not rows:
        where = f"no settings in {finding.NAME} in this directory or above, in {finding.user()} or in the environment"
        nothing = f"{where}; madctl config --init writes an example"
        lines += ["", "nothing is set there or in the environment"] if found.files else [nothing]
    return print_answer(options, None, listing.data(found, rows, profile), lines, [])


def _init(options: argparse.Namespace) -> int:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
    from madctl.screen.problems import print_answer
    from madctl.settings import example, finding

    path = os.path.join(os.getcwd(), finding.NAME)
    try:
        # Only this user may write settings, whatever the umask.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as stream:
            stream.write(example.text(options.parser))
    except FileExistsError as error:
        raise refused("SETTINGS_INVALID", f"{path} exists", remedy="edit it, or move it away") from error
    except OSError as error:
        raise refused("SETTINGS_INVALID", f"cannot write {path}: {reason(error)}") from error
    return print_answer(options, None, {"path": path}, [f"{path}: written; every setting is a comment"], [])


def _trust(options: argparse.Namespace, found: Sources) -> int:
    from madctl.screen.problems import print_answer
    from madctl.settings import finding, trust

    files = [file for file in found.files if file.is_project]
    if not files:
        message = f"there is no {finding.NAME} in this directory or above it"
        raise refused("SETTINGS_INVALID", message, remedy="your own file needs no trust")
    by_key = {key: action for command in found.commands for key, action in command.options.items()}
    entries = [entry for file in files for table in file.tables.values() for entry in table.values()]
    risky = [entry for entry in entries if trust.needs(by_key[entry.key], entry)]
    trust.add(files)
    lines = [f"{files[0].path}: trusted as it is now"]
    lines += [f"  {entry.origin}: {entry.key}" for entry in risky]
    data = {"path": files[0].path, "settings": [entry.key for entry in risky]}
    return print_answer(options, None, data, lines, [])
