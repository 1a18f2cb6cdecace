# SPDX-License-Identifier: Apache-2.0
"""``madctl stop``: stop a run on all its nodes, and verify that nothing of it is left."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.request.options import add_command, add_output_option, add_run_argument


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Stop a run on all its nodes."
    examples = [("stop the latest run", "madctl stop"), ("kill a run at once", "madctl stop 20261129-1025 --force")]
    parser = add_command(commands, "stop", run, "stop a run", about, examples)
    add_run_argument(parser)
    parser.add_argument("--force", action="store_true", help="kill immediately")
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Return 0 only when every node proved that nothing is left, otherwise 9."""
    from madctl.records import record_store
    from madctl.screen.problems import show_answer
    from madctl.verbs.stop import stop

    return show_answer(options, stop(record_store.load(options.run_id), options.force))
