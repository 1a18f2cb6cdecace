# SPDX-License-Identifier: Apache-2.0
"""``madctl gc``: delete files of old runs, on nodes and here."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.errors import Problem, UsageError
from madctl.request.options import add_host_options, add_output_option, hosts_given

DAYS = 7.0


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "gc",
        help="delete files of old runs",
        description="Delete files of old runs: on the given nodes, or on those of all runs that are remembered here, "
        "and here. A live run is never touched.",
        allow_abbrev=False,
    )
    add_host_options(parser)
    group = parser.add_argument_group("what is deleted")
    what = "runs that ended more than N days ago (default 7)"
    group.add_argument("--days", type=float, default=DAYS, metavar="N", help=what)
    group.add_argument("--run-dir", metavar="PATH", help="where nodes keep run directories, if that was chosen")
    group.add_argument("--dry-run", action="store_true", help="list what would be deleted; delete nothing")
    add_output_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each node where files were deleted; return 4 when a node did not answer."""
    from madctl.housekeeping import cleaning, leftovers, plays
    from madctl.nodes import choose
    from madctl.runs import record_store
    from madctl.screen.problems import print_answer

    if not 0 <= options.days < 1e6:
        raise UsageError(Problem("USAGE", f"--days takes a number of days, not {options.days}"))
    records, _ = record_store.known()
    reaches = [choose.targets(options)] if hosts_given(options) else [record.reach() for record in records]
    cleaned = cleaning.Cleaning(records, options.days, options.run_dir, options.dry_run)
    cleaned.ask(plays.groups(reaches))
    over = cleaned.over()
    left = leftovers.find()
    if not options.dry_run:
        cleaning.forget(over)
        for path in left:
            leftovers.remove(path)
    data = {
        "dry_run": options.dry_run,
        "nodes": cleaned.shown(),
        "records": [record.run_id for record in over],
        "temporary": [str(path) for path in left],
    }
    lines = cleaned.lines(over, left) or ["nothing to remove"]
    return print_answer(options, None, data, lines, cleaned.problems, cleaned.notices)
