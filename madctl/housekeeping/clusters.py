# SPDX-License-Identifier: Apache-2.0
"""
Delete old runs from Kubernetes clusters: those that have ended and are recorded on this machine.

Other runs in the same namespace are unknown to this machine; their owners delete them, or the cluster does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import state
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.standing import Standing
from madctl.errors import MadctlError, Problem
from madctl.housekeeping.cleaning import DAY_SECONDS
from madctl.jobs import kubernetes
from madctl.records.run_record import Record


class Clusters:
    """The runs recorded on this machine that are in clusters."""

    def __init__(self, records: Sequence[Record], days: float, dry_run: bool) -> None:
        self._records = [record for record in records if record.job and record.job["on"] == "k8s"]
        self._age, self._is_dry, self._now = max(0.0, days) * DAY_SECONDS, dry_run, time.time()
        self.notices: list[Problem] = []
        self._removed: list[Record] = []
        self._over: list[Record] = []

    def clean(self) -> None:
        """Ask for the state of each run, and delete it if it ended long enough ago; keep it if that is unknown."""
        silent: set[str] = set()
        for record in self._records:
            where = _place(record)
            if where in silent:
                continue
            try:
                self._clean(record)
            except MadctlError as error:
                silent.add(where)
                self.notices += [Problem(each.code, f"{where}: {each.message}") for each in error.problems]

    def _clean(self, record: Record) -> None:
        cluster = kubernetes.reach(record.job or {})
        found = kubernetes.look(cluster, record.run_id)
        if not self._is_old(record, found):
            return
        if found.job is None and not found.pods:
            # Objects that the cluster does not delete with the job may be left.
            is_there = not self._is_dry and kubernetes.delete(cluster, record.run_id)
        else:
            is_there = self._is_dry or kubernetes.delete(cluster, record.run_id)
        self._over.append(record)
        if is_there:
            self._removed.append(record)

    def _is_old(self, record: Record, found: Standing) -> bool:
        """Return whether a run ended long enough ago, as far as is known."""
        if state.alive(found.pods) or not state.is_over(found.job):
            return False
        ended = found.ended or record.ended or record.seen or record.created
        return self._now - ended >= self._age

    def over(self) -> list[Record]:
        """Return the records that are no longer needed."""
        return list(self._over)

    def shown(self) -> list[dict[str, str]]:
        """Return what was deleted, as data."""
        return [{"run_id": record.run_id, "cluster": _place(record)} for record in self._removed]

    def lines(self) -> list[str]:
        """Write one line per namespace with deletions."""
        found: dict[str, list[str]] = {}
        for record in self._removed:
            found.setdefault(_place(record), []).append(record.run_id)
        verb = "would delete" if self._is_dry else "deleted"
        return [f"{where}: {verb} {', '.join(names)}" for where, names in found.items()]


def _place(record: Record) -> str:
    job = record.job or {}
    context = f" of {job['context']}" if job.get("context") else ""
    return f"namespace {job['namespace']}{context}"
