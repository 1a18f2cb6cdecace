# SPDX-License-Identifier: Apache-2.0
"""``madctl rerun``: repeat an earlier launch under the same name, with changes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import unpack
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._show.sentences import Sentence
from madctl.errors import Problem, UsageError, refused
from madctl.request import typed
from madctl.request.options import add_command, add_options_of, add_run_argument
from madctl.request.typed import Option, Typed
from madctl.request.words import glued
from madctl.screen.terminal import tell

if TYPE_CHECKING:
    from madctl.records.run_record import Record

WITHOUT = "--without"
_EXAMPLES = (
    ("launch the latest run again", "madctl rerun"),
    ("launch a run again with a different time limit", "madctl rerun big --timeout 2h"),
    ("give its script different arguments", "madctl rerun big -- --lr 1e-5"),
)


def register(commands: Any) -> None:
    """Add the command to the parser, after ``launch``, whose options it takes."""
    about = "Launch again what was typed for a run, in the same directory and under the same name, with changes."
    parser = add_command(commands, "rerun", run, "launch a run again, with changes", about, _EXAMPLES)
    parser.usage = "madctl rerun [RUN] [OPTION…] [-- ARG…]"
    add_run_argument(parser)
    what = "drop this option of the launch, such as timeout (repeatable)"
    parser.add_argument(WITHOUT, action="append", default=[], metavar="OPTION", help=what)
    add_options_of(parser, commands.choices["launch"])
    parser.show_first(WITHOUT, "--nproc-per-node", "--env", "--timeout", "--name", "--detach", "--dry-run")


def run(options: argparse.Namespace) -> int:
    """Launch, and return the exit code of the new run."""
    from madctl.records import record_store
    from madctl.screen.problems import print_problems

    record = record_store.load(options.run_id)
    wanted = _wanted(record, options)
    missing = _unknown(wanted, record.run_id)
    if missing:
        raise UsageError(*missing)
    _return_to(record)
    launch = options.parse(["launch", *wanted.words])
    launch.notice = _replaced(wanted)
    # Errors are reported as errors of the launch.
    options.output, options.settings = launch.output, getattr(launch, "settings", {})
    print_problems([], launch.notices)
    tell(Sentence("rerun", typed.without_secrets(wanted.options, wanted.work).line))
    return int(launch.run(launch))


def _wanted(record: Record, options: argparse.Namespace) -> Typed:
    """
    Return the command line of a run, with the changes of this command line.

    Raises:
        UsageError: If it was not recorded, or a change cannot be made.
    """
    if record.typed is None:
        message = f"run {record.run_id} was started without a command line, or by an older madctl"
        raise refused("RERUN_IMPOSSIBLE", message, remedy="launch it with madctl launch")
    before = typed.loaded(record.typed)
    if record.name and not any(option.name == "--name" for option in before.options):
        # For example, a settings file set it.
        before = before._replace(options=(*before.options, Option("--name", (record.name,))))
    own = glued(options.own[options.own.index(options.command) + 1 :])
    changes = [one for one in typed.options_of(own, options.parser.commands["rerun"]) if one.name != WITHOUT]
    return typed.changed(before, changes, _left_out(options.without, before), options.work)


def _left_out(names: Sequence[str], before: Typed) -> list[str]:
    known = [*(option.name for option in before.options), *(name.partition(" ")[0] for name in before.withheld)]
    found = [f"--{name.lstrip('-')}" for name in names]
    for name in found:
        if name not in known:
            close = kinds.meant(name, known) or f"it had {', '.join(dict.fromkeys(known)) or 'no option'}"
            raise refused("USAGE", f"{WITHOUT} {name[2:]}: the launch had no {name}", remedy=close)
    return found


def _unknown(wanted: Typed, run_id: str) -> list[Problem]:
    """Return a problem for each value that was typed but not recorded, and cannot be taken from here."""
    found = []
    for name in wanted.withheld:
        if not name.startswith(f"{typed.ENV} "):
            message = f"the value of {name} was not recorded, because it may hold a secret"
            found.append(Problem("VALUE_NOT_KEPT", message, remedy=f"add {name} …, or {WITHOUT} {name[2:]}"))
    unset = [name for name in wanted.variables if name not in os.environ]
    if unset:
        message = f"values of {typed.ENV} are not recorded, and {', '.join(unset)} is not set here"
        remedy = f"madctl rerun {run_id} {' '.join(f'{typed.ENV} {name}=VALUE' for name in unset)}"
        found.append(Problem("ENV_UNSET", message, remedy=remedy))
    return found


def _replaced(wanted: Typed) -> Problem | None:
    """Return the notice that variables have the values of this environment, which may differ from the earlier ones."""
    if not wanted.variables:
        return None
    names = ", ".join(wanted.variables)
    message = f"values of {typed.ENV} are not recorded: {names} is taken from this environment"
    return Problem("VALUE_NOT_KEPT", message, remedy=f"for another value add {typed.ENV} NAME=VALUE")


def _return_to(record: Record) -> None:
    """
    Change to the directory of the launch, to which its paths are relative.

    Raises:
        UsageError: If that is not possible.
    """
    directory = unpack((record.typed or {})["directory"])
    try:
        os.chdir(directory)
    except OSError as error:
        message = f"run {record.run_id} was launched in {directory}: {reason(error)}"
        raise refused("RERUN_IMPOSSIBLE", message, remedy="launch it with madctl launch") from error
