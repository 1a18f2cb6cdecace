# SPDX-License-Identifier: Apache-2.0
"""``madctl report``: write everything known about a run as one page."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.request.options import add_command, add_output_option, add_run_argument

_EXAMPLES = (
    ("write madctl-RUN.html about the latest run", "madctl report"),
    ("write it somewhere else", "madctl report 20261129-1025 --to /shared/www/run.html"),
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = (
        "Write everything known about a run to one HTML file: verdict, cause, timeline, plan, checks and logs. The "
        "file loads nothing and needs no JavaScript."
    )
    parser = add_command(commands, "report", run, "write a page about a run", about, _EXAMPLES)
    add_run_argument(parser)
    what = "where to write it (default: madctl-RUN.html in this directory); - for standard output"
    parser.add_argument("--to", metavar="FILE", help=what)
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Return 0 when the page was written, however the run ended, even if parts of the page are missing."""
    from madctl.errors import refused
    from madctl.records import record_store
    from madctl.report import gathering, page, writing
    from madctl.screen.problems import print_answer, print_problems
    from madctl.screen.terminal import OUT

    record = record_store.load(options.run_id)
    if options.to == "-":
        if options.output == "json":
            raise refused("USAGE", "--to - writes the page to standard output, where --output json writes, too")
        found = gathering.gather(record)
        OUT.write(page.render(found))
        print_problems([], found.missing)
        return 0
    place = writing.place(options.to or f"madctl-{record.run_id}{writing.SUFFIX}")
    found = gathering.gather(record)
    writing.write(place, page.render(found))
    data = {"report": place, "run": found.run, "missing": [str(problem) for problem in found.missing]}
    return print_answer(options, record.run_id, data, [place], [], found.missing)
