# SPDX-License-Identifier: Apache-2.0
"""``madctl attach``: show a run from its first byte, and follow it to its end."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.request import after_options
from madctl.request.options import (
    add_choice_options,
    add_command,
    add_output_option,
    add_run_argument,
    add_since_option,
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Show all output of a run from its first byte, then follow it to its end."
    examples = [("follow a run that was launched with --detach", "madctl attach")]
    parser = add_command(commands, "attach", run, "attach to a running job", about, examples)
    add_run_argument(parser)
    add_choice_options(parser)
    add_since_option(parser)
    after_options.add_after_options(parser)
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Follow the run, and return its exit code."""
    from madctl.after import wishes
    from madctl.playbook.report import report_run
    from madctl.records import record_store
    from madctl.verbs.attach import follower

    session = follower(record_store.load(options.run_id), options)
    session.run()
    return report_run(session, "attach", options.output == "json", wanted=wishes.of(options))
