# SPDX-License-Identifier: Apache-2.0
"""The state of a run, from its record on this machine and the answers of its nodes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined
from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import GOING, UNKNOWN, Verdict
from madctl.records.run_record import Record

# A run is recorded before its nodes have any files of it.
_STARTING_SECONDS = 120.0


def judged(record: Record, nodes: Mapping[str, Any]) -> Verdict:
    """Judge a run by the answers of its nodes, and by its record, if this machine followed it to its end."""
    return joined_with(record, verdict.of_nodes(record.plan, nodes, record.cause))


def joined_with(record: Record, found: Verdict) -> Verdict:
    """Combine the verdict from the nodes of a run with its record."""
    if record.attempts > 1:
        # The nodes of the last attempt do not know about earlier attempts.
        found = found._replace(began=None)
    if not has_ended(record):
        return found
    if found.status in GOING:
        return found._replace(cause=record.cause or found.cause)
    is_same = found.cause is not None and found.cause.startswith(record.cause or found.cause)
    return Verdict(
        record.status,
        record.cause or (found.cause if found.status == record.status else None),
        found.error if is_same else None,
        found.began,
        record.ended or found.ended,
        record.exit_code,
        found.host if is_same else None,
        found.rank if is_same else None,
        found.joined,
    )


def remembered(record: Record) -> Verdict:
    """Return the verdict in the record of a run."""
    return Verdict(record.status, record.cause, None, record.began, record.ended, record.exit_code)


def has_ended(record: Record) -> bool:
    """Return whether this machine knows how a run ended."""
    return record.status not in (*GOING, UNKNOWN)


def updated(record: Record, found: Verdict, now: float) -> Record:
    """Update a record from the answers of all its nodes; the job's output is not recorded."""
    if has_ended(record):
        return record
    began = record.began or found.began
    if found.status == UNKNOWN and now - max(record.created, record.seen or 0.0) < _STARTING_SECONDS:
        return record
    if found.status in GOING:
        return replace(record, status=found.status, cause=found.cause, began=began, seen=now)
    exit_code = found.exit_code
    return replace(record, status=found.status, cause=found.cause, exit_code=exit_code, began=began, ended=found.ended)


def described(record: Record, found: Verdict, now: float) -> dict[str, Any]:
    """Describe a run and its state, as commands print them."""
    return {
        "run_id": record.run_id,
        "name": record.name,
        "note": record.note,
        **verdict.shown(found, record.began or found.began or record.created, now),
        "created": record.created,
        "attempts": record.attempts,
        "world_size": record.plan["world_size"],
        "hosts": record.targets["names"],
        "work": joined(record.work),
        "code": record.code,
    }
