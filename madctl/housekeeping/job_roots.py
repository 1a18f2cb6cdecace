# SPDX-License-Identifier: Apache-2.0
"""
Remove directories of runs in jobs that ended long ago, and copies of our programs that no other run uses.

The directory of a job that Slurm may still run or start is never touched, nor is any directory if Slurm does not
answer.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._job import run_root
from ansible_collections.madctl.multinode.plugins.module_utils._show import removals
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import size
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count
from madctl.errors import MadctlError, Problem
from madctl.jobs import slurm
from madctl.records.run_record import Record

DAY_SECONDS = 86400.0
# A launch takes much less than this until its job is submitted.
_SUBMITTING_SECONDS = 3600.0
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}", re.ASCII)
_PROGRAMS = re.compile(re.escape(job_directory.PROGRAMS) + "[0-9a-f]+", re.ASCII)


@dataclass
class Root:
    """One directory of runs: what was removed, and what was kept, and why."""

    path: Path
    removed: list[dict[str, Any]] = field(default_factory=list)
    programs: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, str]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """Return what was removed as data."""
        return {"root": str(self.path), "removed": self.removed, "programs": self.programs, "kept": self.kept}


class JobRoots:
    """One cleaning of all run roots that this machine knows; ``notices`` are failures to remove or to ask."""

    def __init__(self, records: Sequence[Record], days: float, dry_run: bool) -> None:
        # The files of runs on other login nodes are removed there.
        self._records = [one for one in records if one.job and "place" in one.job and "login" not in one.job]
        self._age, self._is_dry, self._now = max(0.0, days) * DAY_SECONDS, dry_run, time.time()
        self.roots: list[Root] = []
        self.notices: list[Problem] = []

    def clean(self) -> None:
        """Clean all run roots."""
        for path, confs in sorted(self._known().items()):
            if path.is_dir():
                # List directories before asking Slurm: a job submitted in between is then known to Slurm, or recent.
                names = _own(path)
                self._clean(Root(path), names, [self._jobs(path, conf) for conf in sorted(confs)])

    def _known(self) -> dict[Path, set[str]]:
        """Return the run roots, each with the configurations of its clusters."""
        found: dict[Path, set[str]] = {Path(run_root.usual(os.path.expanduser("~"))): {slurm.configuration()}}
        for record in self._records:
            assert record.job is not None
            found.setdefault(Path(record.job["place"]).parent, set()).add(record.job.get("conf", ""))
        return found

    def _jobs(self, path: Path, conf: str) -> dict[str, slurm.State] | None:
        """Return the jobs of a cluster by the ID of their run; None if the cluster cannot be asked."""
        if conf and not os.path.exists(conf):
            return {}  # For example, that of a lab that was removed: nothing runs there any more.
        try:
            return slurm.own_runs(conf)
        except MadctlError as error:
            message = f"directories of runs in {path} are kept: {error.problems[0].message}"
            remedy = "run gc on a machine of the Slurm cluster"
            self.notices.append(Problem(error.problems[0].code, message, remedy=remedy))
            return None

    def _clean(self, root: Root, names: Sequence[str], clusters: Sequence[dict[str, slurm.State] | None]) -> None:
        self.roots.append(root)
        for name in filter(_RUN.fullmatch, names):
            path = root.path / name
            if _is_run(path):
                newest, taken = _measure(path)
                why = self._needed(name, path, newest, clusters)
                if why is not None:
                    root.kept.append({"run_id": name, "why": why})
                elif self._goes(path):
                    root.removed.append({"run_id": name, "bytes": taken})
        self._clean_programs(root, names)

    def _clean_programs(self, root: Root, names: Sequence[str]) -> None:
        gone = {entry["run_id"] for entry in root.removed}

        def is_free(name: str) -> bool:
            return name not in _used(root.path, gone)

        for name in names:
            newest, taken = _measure(root.path / name)
            if not self._is_old(newest, _SUBMITTING_SECONDS):
                continue
            if _PROGRAMS.fullmatch(name) and is_free(name) and self._goes(root.path / name, partial(is_free, name)):
                root.programs.append({"name": name, "bytes": taken})
            # Left by an interrupted removal or launch.
            elif name.startswith((run_directory.GONE, f".{job_directory.PROGRAMS}")) and not self._is_dry:
                self._erase(root.path / name)

    def _needed(
        self, name: str, path: Path, newest: float, clusters: Sequence[dict[str, slurm.State] | None]
    ) -> str | None:
        """Return why the directory of a run is kept; None if it is not."""
        for jobs in clusters:
            if jobs is None:
                return "Slurm does not answer"
            state = jobs.get(name, slurm.FORGOTTEN)
            if not state.is_final and state != slurm.FORGOTTEN:
                return f"{state.state.lower()} in Slurm"
        if not self._is_old(newest, 0.0):
            return f"younger than {self._age / DAY_SECONDS:g} days"
        if not self._is_old(newest, 0.0 if (path / job_directory.RESULT).exists() else _SUBMITTING_SECONDS):
            return "without a result, and younger than an hour"
        return None

    def _is_old(self, newest: float, least: float) -> bool:
        return self._now - newest > max(self._age, least)

    def _goes(self, path: Path, may: Callable[[], bool] = lambda: True) -> bool:
        """
        Remove a directory, unless this is a dry run, and return whether it was, or would be, removed.

        It is renamed first, so that no other program sees half of it.

        Args:
            may: Returns whether the renamed directory may be removed.
        """
        if self._is_dry:
            return True
        away = path.with_name(f"{run_directory.GONE}{os.getpid()}-{path.name}")
        try:
            path.rename(away)
            if not may():
                away.rename(path)
                return False
        except OSError as error:
            self._stuck(path, error)
            return False
        self._erase(away)
        return True

    def _erase(self, path: Path) -> None:
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            pass  # Another gc has erased it.
        except OSError as error:
            self._stuck(path, error)

    def _stuck(self, path: Path, error: OSError) -> None:
        self.notices.append(Problem("RUN_NOT_REMOVED", f"{path} could not be removed: {reason(error)}"))

    def over(self) -> list[Record]:
        """List the records of runs whose directories are gone, whether now or long ago."""
        gone = {str(root.path / entry["run_id"]) for root in self.roots for entry in root.removed}
        return [record for record in self._records if record.job and self._is_over(record, record.job["place"], gone)]

    def _is_over(self, record: Record, where: str, gone: Iterable[str]) -> bool:
        seen = max(record.created, record.seen or 0.0, record.ended or 0.0)
        return where in gone or (not os.path.lexists(where) and self._is_old(seen, _SUBMITTING_SECONDS))

    def lines(self) -> list[str]:
        """Write what was removed, one line per run root; a dry run lists everything."""
        found = []
        for root in self.roots:
            told = removals.line(str(root.path), root.shown(), self._is_dry)
            if told:
                named = [(entry["run_id"], entry["bytes"]) for entry in root.removed]
                named += [(entry["name"], entry["bytes"]) for entry in root.programs]
                found += [told, *(f"  {name}  {size(taken)}" for name, taken in named if self._is_dry)]
        return found

    def kept_lines(self) -> list[str]:
        """Write what was kept, and why, one line per run root."""
        found = []
        for root in self.roots:
            why = Counter(entry["why"] for entry in root.kept)
            if why:
                reasons = ", ".join(f"{number} {word}" for word, number in sorted(why.items()))
                found.append(f"{root.path}: {count(len(root.kept), 'run')} kept: {reasons}")
        return found


def _own(root: Path) -> list[str]:
    """List the names of this user's directories, without symbolic links."""
    found = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(root):
            if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                found.append(entry.name)
    return sorted(found)


def _is_run(path: Path) -> bool:
    """Return whether a directory belongs to a run in a job: a run root may also have other directories."""
    return (path / job_directory.SCRIPT).exists() and (path / job_directory.KEY).exists()


def _measure(path: Path) -> tuple[float, int]:
    """Return the latest modification time in a directory, and its size on disk."""
    newest, taken = 0.0, 0
    for directory, _, files in os.walk(path):
        for name in (".", *files):
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(directory, name))
                newest, taken = max(newest, status.st_mtime), taken + status.st_blocks * 512
    return newest, taken


def _used(root: Path, gone: set[str]) -> set[str]:
    """Return the names of the programs that job scripts start, without those of removed runs."""
    found: set[str] = set()
    for name in _own(root):
        if name not in gone:
            with contextlib.suppress(OSError):
                found.update(_PROGRAMS.findall((root / name / job_directory.SCRIPT).read_text(errors="replace")))
    return found
