# SPDX-License-Identifier: Apache-2.0
"""``madctl gc``: delete files of old runs, on nodes and on this machine."""

from __future__ import annotations

import argparse
import shutil
from typing import Any

from madctl.request.options import add_command, add_host_options, add_option, add_output_option, hosts_given


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = (
        "Delete files of old runs, on this machine and the given nodes; by default on the nodes of all runs that this "
        "machine remembers, in the directories of runs in jobs of Slurm, and in clusters of Kubernetes. Live runs are "
        "never touched."
    )
    examples = [("list the files of runs that ended more than a day ago", "madctl gc --days 1 --dry-run")]
    parser = add_command(commands, "gc", run, "delete files of old runs", about, examples)
    add_host_options(parser)
    group = parser.add_argument_group("what to delete")
    add_option(group, "--days", metavar="N", help="delete runs that ended more than N days ago (default 7)")
    group.add_argument("--run-dir", metavar="PATH", help="parent of run directories, if not the default")
    group.add_argument("--dry-run", action="store_true", help="list what would be deleted, but delete nothing")
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print a line for each node where files were deleted; return 4 when a node did not answer."""
    from madctl.housekeeping import cleaning, clusters, job_roots, leftovers, plays
    from madctl.nodes import choose
    from madctl.records import record_store
    from madctl.screen.problems import print_answer

    known, is_narrowed = record_store.known()[0], hosts_given(options)
    # The nodes of a job are out of reach and hold nothing of it; its files are in a directory of their own.
    records = [record for record in known if not record.job]
    reaches = [choose.targets(options)] if is_narrowed else [record.reach() for record in records]
    cleaned = cleaning.Cleaning(records, options.days, options.run_dir, options.dry_run)
    cleaned.ask(plays.groups(reaches))
    jobs = job_roots.JobRoots([] if is_narrowed else known, options.days, options.dry_run)
    pods = clusters.Clusters([] if is_narrowed else known, options.days, options.dry_run)
    if not is_narrowed:
        jobs.clean()
        pods.clean()
    over = [*cleaned.over(), *jobs.over(), *pods.over()]
    left = leftovers.find()
    if not options.dry_run:
        cleaning.forget(over)
        for path in left:
            # The next gc deletes what cannot be deleted now.
            shutil.rmtree(path, ignore_errors=True)
    data = {
        "dry_run": options.dry_run,
        "nodes": cleaned.shown(),
        "roots": [root.shown() for root in jobs.roots],
        "clusters": pods.shown(),
        "records": [record.run_id for record in over],
        "temporary": [str(path) for path in left],
    }
    lines = [*cleaned.lines(over, left), *jobs.lines(), *pods.lines()] or ["nothing to remove"]
    notices = [*cleaned.notices, *jobs.notices, *pods.notices]
    return print_answer(options, None, data, [*lines, *jobs.kept_lines()], cleaned.problems, notices)
