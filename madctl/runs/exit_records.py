# SPDX-License-Identifier: Apache-2.0
"""How a run ended, from the exit records of its nodes; pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import EXITED, Reason
from madctl.errors import ExitCode


def how_it_ended(nodes: list[dict[str, Any]], count: int, plan: dict[str, Any]) -> str | None:
    """Sum up the exit records of all nodes; None while one of them is still running or silent."""
    records = [node["exit"] for node in nodes if node["exit"]]
    if len(records) < count:
        return None
    if any((record.get("reason") or Reason.STOPPED) == Reason.STOPPED for record in records if record["stopped"]):
        return "stopped"
    counts = runners.job_of(plan["shape"], plan.get("runner")).counts_ranks
    if any(map(_failed, records)) or counts and _is_short(records, plan["world_size"]):
        return "failed"
    # Success needs proof, because a job can overwrite a record.
    proof = {"left_behind", "trouble", *(("ranks_joined", "apart") if counts else ())}
    return "succeeded" if all(proof <= set(record) for record in records) else "unknown"


def _failed(record: dict[str, Any]) -> bool:
    ended = record["outcome"] == EXITED and record["exit_code"] == 0 and not record.get("signal")
    return not ended or bool(record["stopped"] or record.get("left_behind") or record.get("trouble"))


def _is_short(records: list[dict[str, Any]], size: float) -> bool:
    """Return whether ranks are missing, or every rank formed its own world, as far as the nodes know."""
    joined = [record["ranks_joined"] for record in records if "ranks_joined" in record]
    missing = len(joined) == len(records) and sum(joined) < size
    return missing or sum(len(record.get("apart", ())) for record in records) >= max(size, 2)


def exit_code(ended: str | None) -> int | None:
    """Return the exit code of a run that ended; None if it is unknown."""
    if ended in (None, "unknown"):
        return None
    return int(ExitCode.SUCCEEDED if ended == "succeeded" else ExitCode.JOB_FAILED)
