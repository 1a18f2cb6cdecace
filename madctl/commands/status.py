# SPDX-License-Identifier: Apache-2.0
"""``madctl status``: show the state of a run, or how it ended, and its state on each of its nodes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import verdict_text
from madctl.errors import ExitCode
from madctl.request.options import add_command, add_output_option, add_run_argument


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Show whether a run is running, how it ended and why, and its state on each of its nodes."
    examples = [("show the latest run", "madctl status"), ("show another run", "madctl status 20261129-1025")]
    parser = add_command(commands, "status", run, "show the state of a run", about, examples)
    add_run_argument(parser)
    what = "exit with the exit code of the run: 0 while it runs, 4 if it is unknown how it ended"
    parser.add_argument("--exit-code", action="store_true", help=what)
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print the verdict, one line per node, and what to do next; return 4 when a node did not answer."""
    from madctl.records import record_store
    from madctl.screen.problems import show_answer
    from madctl.verbs.status import status

    found = status(record_store.load(options.run_id))
    code = show_answer(options, found)
    return _of_run((found.result.data or {})["run"]) if options.exit_code else code


def _of_run(about: Mapping[str, Any]) -> int:
    if about["status"] in verdict_text.GOING:
        return ExitCode.SUCCEEDED
    return ExitCode.UNREACHABLE if about["exit_code"] is None else int(about["exit_code"])
