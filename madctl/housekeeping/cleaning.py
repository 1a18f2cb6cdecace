# SPDX-License-Identifier: Apache-2.0
"""What ``madctl gc`` deletes on nodes, and the records on this machine that it removes as a consequence."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import removals
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import size
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count
from madctl.errors import Problem
from madctl.housekeeping import plays
from madctl.playbook import ask
from madctl.records import record_store
from madctl.records.run_record import Record

DAY_SECONDS = 86400.0
_NAMED = 5


class Cleaning:
    """
    One cleaning of many nodes.

    ``problems`` are nodes that did not answer; ``notices``, files that could not be deleted and nodes that are gone.
    """

    def __init__(self, records: Sequence[Record], days: float, run_dir: str | None, dry_run: bool) -> None:
        self._records, self._days, self._run_dir, self._dry_run = records, days, run_dir, dry_run
        self._answers: dict[plays.Way, dict[str, Any]] = {}
        self._removed_on: dict[str, set[str]] = {}
        self._gone: set[str] = set()
        self.problems: list[Problem] = []
        self.notices: list[Problem] = []

    def ask(self, groups: Sequence[plays.Group]) -> None:
        """Clean all nodes, one play after another."""
        bases = self._bases()
        for group in groups:
            source = group.missing_source()
            if source is not None:
                self._gone.add(source)
                continue
            variables: dict[str, Any] = {"madctl_days": self._days, "madctl_dry_run": self._dry_run}
            if self._run_dir:
                variables["madctl_run_dir"] = self._run_dir
            else:
                variables["madctl_bases"] = {host: sorted(bases.get(group.way(host), ())) for host in group.hosts}
            found = ask.nodes("gc", group.targets(), variables)
            self.problems += found["problems"]
            for host, answer in found["nodes"].items():
                self._take(group, host, answer)
        self.notices += [self._forgotten(source) for source in sorted(self._gone)]

    def _take(self, group: plays.Group, host: str, answer: dict[str, Any]) -> None:
        self._answers[group.way(host)] = answer
        for run in answer["removed"]:
            self._removed_on.setdefault(run["run_id"], set()).add(host)
        for entry in answer["stuck"]:
            message = f"{entry['path']} could not be removed: {entry['reason']}"
            self.notices.append(Problem("RUN_NOT_REMOVED", message, host, "delete it there, as root if necessary"))

    def _bases(self) -> dict[plays.Way, set[str]]:
        """Return the parents of the recorded runs' directories, by the way to each node."""
        found: dict[plays.Way, set[str]] = {}
        for record in self._records:
            for node in record.plan["nodes"]:
                run_dir, way = str(node.get("run_dir") or ""), _way(record, node["host"])
                if run_dir.startswith("/") and os.path.basename(run_dir) == record.run_id:
                    found.setdefault(way, set()).add(os.path.dirname(run_dir))
        return found

    def _forgotten(self, source: str) -> Problem:
        """Report the runs that are out of reach, for example those of a lab that was removed."""
        names = [record.run_id for record in self._records if source in record.targets["sources"]]
        shown = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        verb = "would be" if self._dry_run else "was" if len(names) == 1 else "were"
        message = f"the inventory {source} is gone: {count(len(names), 'run')} {verb} forgotten here: {shown}"
        return Problem("RUN_FORGOTTEN", message, remedy="if nodes still have files: madctl gc --hosts LIST")

    def over(self) -> list[Record]:
        """
        List the records of runs that are out of reach, or that no node has any more.

        The latter exclude recent ones, whose launch may just be starting.
        """
        return [
            record
            for record in self._records
            if not self._gone.isdisjoint(record.targets["sources"])
            or self._is_old(record)
            and all(self._is_rid(record, host) for host in record.targets["names"])
        ]

    def _is_rid(self, record: Record, host: str) -> bool:
        if host in self._removed_on.get(record.run_id, ()):
            return True
        # With another --run-dir, the answer says nothing about this run.
        answer = None if self._run_dir else self._answers.get(_way(record, host))
        return answer is not None and record.run_id not in answer["held"]

    def _is_old(self, record: Record) -> bool:
        if record.run_id in self._removed_on:
            return True
        try:
            written = _file(record).stat().st_mtime
        except OSError:
            written = 0.0
        return max(written, record.created) < time.time() - self._days * DAY_SECONDS

    # -- output ----------------------------------------------------------------------------------------

    def shown(self) -> list[dict[str, Any]]:
        """Return what was deleted on each node, as data."""
        return [
            {"host": host, **{key: answer[key] for key in ("removed", "programs")}}
            for (host, _), answer in self._answers.items()
        ]

    def lines(self, records: Sequence[Record], directories: Sequence[Path]) -> list[str]:
        """Write one line per node with deletions, then one for this machine; a dry run lists everything."""
        found: list[str] = []
        would = "would remove " if self._dry_run else ""
        for (host, _), answer in self._answers.items():
            told = removals.line(host, answer, self._dry_run)
            if told:
                named = [(run["run_id"], run["bytes"]) for run in answer["removed"]]
                named += [(entry["name"], entry["bytes"]) for entry in answer["programs"]]
                found += [told, *(f"  {name}  {size(taken)}" for name, taken in named if self._dry_run)]
        if records or directories:
            parts = [count(len(records), "record")] if records else []
            if directories:
                parts.append(count(len(directories), "temporary directory", "temporary directories"))
            found.append(f"this machine: {would}{', '.join(parts)}")
            named_here = [*(f"record of {record.run_id}" for record in records), *map(str, directories)]
            found += [f"  {name}" for name in named_here if self._dry_run]
        return found


def forget(records: Sequence[Record]) -> None:
    """Remove records from this machine."""
    for record in records:
        record_store.forget(record)


def _file(record: Record) -> Path:
    return record_store.directory() / f"{record.run_id}.json"


def _way(record: Record, host: str) -> plays.Way:
    return next(group.way(host) for group in plays.split(record.reach()) if host in group.hosts)
