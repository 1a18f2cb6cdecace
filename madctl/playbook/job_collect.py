# SPDX-License-Identifier: Apache-2.0
"""``madctl collect`` for a run in a job: from its directory, or from the logs of its pods; nodes are not contacted."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils._conduct import fetching
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from madctl.errors import ExitCode, Problem, RunError, refused
from madctl.jobs import attempts, collecting, collecting_pods, kubernetes
from madctl.jobs.collecting import Collected
from madctl.jobs.standing import Standing
from madctl.playbook import job_login, job_verbs, kubernetes_verbs
from madctl.records import record_store, verdicts
from madctl.records.run_record import Record
from madctl.screen.problems import print_answer

# Writes a page about a run into a directory; returns its path, or why there is none.
WriteReport = Callable[[Record, str], tuple[str | None, list[Problem]]]


def run(record: Record, options: argparse.Namespace, write_report: WriteReport) -> int:
    """
    Collect, and return 2 when the destination is in use.

    Args:
        write_report: Called once the files are collected.

    Raises:
        UsageError: If there is nothing to collect.
        RunError: If the files cannot be read.
    """
    if record.job and record.job["on"] == "k8s":
        return _of_pods(record, options, write_report)
    if job_login.is_elsewhere(record):
        assert record.job is not None
        host, there = record.job["login"]["names"][0], record.job["place"]
        raise refused("USAGE", f"the files of run {record.run_id} are on {host}", remedy=f"copy {there} from there")
    stands, record = job_verbs.stands(record)
    assert record.job is not None
    where = attempts.where(Path(record.job["place"]), attempts.last(Path(record.job["place"])))
    if not where.is_dir():
        raise refused("RUN_UNKNOWN", f"the files of run {record.run_id} are gone: {where}")
    dest = os.path.abspath(options.to or record.run_id)
    try:
        found = collecting.collect(where, record.run_id, Path(dest), int(options.max_size or fetching.MAX_BYTES))
    except Refused as error:
        raise RunError(ExitCode.UNREACHABLE, Problem("NODE_SILENT", str(error), remedy=f"see {where}")) from error
    if not found.nodes and not found.problems:
        raise refused("RUN_UNKNOWN", f"no node of run {record.run_id} has started yet", remedy=f"see {where}")
    return _print(record, options, dest, found, stands, write_report)


def _of_pods(record: Record, options: argparse.Namespace, write_report: WriteReport) -> int:
    """Collect the logs of pods, and the objects and events of the run."""
    stands, record = kubernetes_verbs.stands(record)
    dest = os.path.abspath(options.to or record.run_id)
    size = int(options.max_size or fetching.MAX_BYTES)
    found = collecting_pods.collect(kubernetes.reach(record.job or {}), record.run_id, Path(dest), size)
    if not found.nodes and not found.problems:
        raise refused("RUN_UNKNOWN", f"run {record.run_id} has no pods, and so no logs")
    return _print(record, options, dest, found, stands, write_report)


def _print(
    record: Record,
    options: argparse.Namespace,
    dest: str,
    found: Collected,
    stands: Standing,
    write_report: WriteReport,
) -> int:
    now = time.time()
    judged = verdicts.joined_with(record, stands.verdict)
    about = verdicts.described(record, judged, now)
    if stands.unknown is None:
        record_store.update(verdicts.updated(record, judged, now))
    lines = [f"{dest}: {fold(list(found.nodes))}"] if found.nodes else []
    report, trouble = write_report(record, dest) if found.nodes else (None, [])
    lines += [report] if report else []
    data = {"nodes": found.nodes, "run": about, "report": report}
    return print_answer(options, record.run_id, data, lines, found.problems, [*found.notices, *trouble])
