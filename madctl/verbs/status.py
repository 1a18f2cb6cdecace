# SPDX-License-Identifier: Apache-2.0
"""Determine the state of a run, or how it ended, and the state of each of its nodes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences, status_table, verdict_text
from ansible_collections.madctl.multinode.plugins.module_utils._show.sentences import Sentence, called
from madctl.playbook import ask
from madctl.records import record_store, verdicts
from madctl.records.run_record import Record
from madctl.result import Answer, answer


def status(record: Record) -> Answer:
    """
    Query the nodes of a run, or its scheduler, and record the answers.

    Raises:
        MadctlError: If the nodes could not be queried.
    """
    gone, earlier = None, []
    before = record
    if record.job:
        from madctl.playbook import schedulers

        stands, record = schedulers.verbs(record).stands(record)
        earlier = [{"id": _attempt_id(record.run_id, one["attempt"]), **one} for one in stands.earlier]
        answers, problems = stands.nodes, [stands.unknown] if stands.unknown else []
        judged, is_known = verdicts.joined_with(record, stands.verdict), not problems
    elif verdicts.has_ended(record) and (gone := ask.missing_inventory(record)):
        answers, problems, judged, is_known = {}, [], verdicts.remembered(record), False
    else:
        found, record = ask.nodes_of_run("status", record, {})
        answers, problems = found["nodes"], found["problems"]
        judged, is_known = verdicts.judged(record, answers), answers.keys() >= set(record.targets["names"])
    now = time.time()
    updated = verdicts.updated(record, judged, now) if is_known else record
    unsaved = None
    if updated != before:
        updated, unsaved = record_store.update(updated)
        judged = judged if updated.status == judged.status else verdicts.joined_with(updated, judged)
    about = verdicts.described(updated, judged, now)
    nodes = [{"host": host, **node} for host, node in answers.items()]
    silent = [] if record.job or gone else [host for host in record.targets["names"] if host not in answers]
    lines = [verdict_text.whole({**about, "silent": silent})]
    lines += ["", *map(_earlier, earlier)] if earlier else []
    lines += ["", *status_table.lines(nodes, silent)] if nodes else []
    if not record.job and any(node["state"] in ("running", "stopping") for node in nodes):
        lines += ["", status_table.alone(nodes)]
    lines += ["", *map(str, _about(about, record.job)), *map(str, _next(about, judged.host, judged.rank, record.job))]
    job = {"job": record.shown_job, "earlier": earlier} if record.job else {}
    data = {"run": about, "nodes": nodes, **job}
    return answer("status", record.run_id, data, lines, problems, [found for found in (unsaved, gone) if found])


def _earlier(attempt: Mapping[str, Any]) -> str:
    return f"attempt {attempt['attempt']}  {attempt['id']}  {attempt['cause']}"


def _attempt_id(run_id: str, number: int) -> str:
    return f"{run_id}.{number - 1}" if number > 1 else run_id


def _about(run: Mapping[str, Any], job: Mapping[str, Any] | None) -> list[Sentence]:
    note = [Sentence("note", run["note"])] if run["note"] else []
    told = [called(run["run_id"], run["name"]), *note, Sentence("work", run["work"]), *_code(run)]
    return [*told, *(_of_job(job) if job else [])]


def _code(run: Mapping[str, Any]) -> list[Sentence]:
    """Show which code was sent for a run, and where its difference from the commit is."""
    if not run["code"]:
        return []
    changes = record_store.diff(run["run_id"])
    where = f": {changes}" if run["code"].get("dirty") and changes.exists() else ""
    return [Sentence("code", sentences.code(run["code"]) + where)]


def _of_job(job: Mapping[str, Any]) -> list[Sentence]:
    if job["on"] == "k8s":
        return [Sentence("job", f"{job['id']} in namespace {job['namespace']}")]
    return [Sentence("job", f"{job['id']} of Slurm"), Sentence("files", job["place"])]


def _next(run: Mapping[str, Any], host: str | None, rank: int | None, job: Mapping[str, Any] | None) -> list[Sentence]:
    """Return the commands that fit the state of a run."""
    run_id = run["run_id"]
    which = f" --rank {rank}" if rank is not None else f" --host {host}" if host else ""
    commands = {"logs": f"madctl logs {run_id}{which}"}
    if run["status"] in verdict_text.GOING:
        commands |= {"attach": f"madctl attach {run_id}", "stop": f"madctl stop {run_id}"}
    elif not (job and job.get("login")):
        commands |= {"collect": f"madctl collect {run_id}"}
    return [Sentence(name, command) for name, command in commands.items()]
