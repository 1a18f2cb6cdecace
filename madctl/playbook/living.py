# SPDX-License-Identifier: Apache-2.0
"""Determine which of the runs believed to be alive still are, without Ansible and within a short time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Task
from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Ways
from madctl.jobs import kubernetes, standing
from madctl.jobs.standing import Standing
from madctl.nodes import reach
from madctl.playbook.job_session import is_behind, with_plan
from madctl.records import record_store, verdicts
from madctl.records.run_record import Record

SECONDS = 4.0
_MOST_ASKED = 64


def asked(records: Sequence[Record], seconds: float = SECONDS) -> list[Record]:
    """
    Query the nodes of all runs not known to have ended, all at once; save and return the updated records.

    A record stays unchanged if not all nodes of its run answer in time, or if only Ansible can reach them.
    """
    due = [record for record in records if not verdicts.has_ended(record)][:_MOST_ASKED]
    in_jobs = _in_jobs([record for record in due if record.job], seconds)
    ways = [(record, reach.ways(record.reach())) for record in due if not record.job]
    answers = _answers([(record, known) for record, known in ways if known], seconds)
    now, fresh = time.time(), in_jobs
    for record in due:
        found = answers.get(record.run_id)
        if found is not None and found.keys() >= set(record.targets["names"]):
            changed = verdicts.updated(record, verdict.of_nodes(record.plan, found), now)
            # If it cannot be written, nodes are asked again next time.
            fresh[record.run_id], _ = record_store.update(changed)
    return [fresh.get(record.run_id, record) for record in records]


def _in_jobs(records: Sequence[Record], seconds: float) -> dict[str, Record]:
    """Return the updated records of runs in jobs; the scheduler is queried until it fails to answer."""
    deadline, found = time.monotonic() + seconds, {}
    for record in records:
        if record.job is None or not record.job["id"] or record.job.get("login"):
            continue
        left = max(0.0, deadline - time.monotonic())
        if record.job["on"] == "k8s":
            if not left:
                continue
            stands = kubernetes.of(record.job, record.run_id, record.plan, left)
        else:
            # If no time is left, only the files of the job are read.
            stands = standing.of(record.job, left)
        if stands.unknown:
            deadline = 0.0
            continue
        found[record.run_id], _ = record_store.update(with_standing(record, stands, time.time()))
    return found


def with_standing(record: Record, stands: Standing, now: float) -> Record:
    """Return the record of a run in a job, updated to its current state."""
    if stands.plan and is_behind(record):
        record = with_plan(record, stands.plan)
    return verdicts.updated(record, stands.verdict, now)


def _answers(runs: Sequence[tuple[Record, Ways]], seconds: float) -> dict[str, dict[str, Any]]:
    """Return the answers of each run's nodes, without nodes that did not answer."""
    found: dict[str, dict[str, Any]] = {record.run_id: {} for record, _ in runs}
    waiting = {(record.run_id, host) for record, ways in runs for host in ways}

    def answered(run_id: str, host: str, answer: dict[str, Any]) -> None:
        waiting.discard((run_id, host))
        if "state" in answer:
            found[run_id][host] = answer

    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(contextlib.closing(Loop()))
        for record, ways in runs:
            agents = stack.enter_context(Agents(loop, ways))
            for node in record.plan["nodes"]:
                request = {"run_id": record.plan["run_id"], "run_dir": node.get("run_dir")}
                tell = partial(answered, record.run_id, node["host"])
                agents.call(node["host"], Task("_runs.run_state:look", request, tell, seconds))
        loop.until(lambda: not waiting, seconds)
    return found
