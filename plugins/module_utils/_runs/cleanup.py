# SPDX-License-Identifier: Apache-2.0
"""
Remove the files of old runs on one node. Private to the collection.

A live run is never touched: it has a process, or recent files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from functools import partial
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    filesystems,
    manifest,
    plain_text,
    run_directory,
)
from ansible_collections.madctl.multinode.plugins.module_utils._node import mount_table, node_lock, procfs
from ansible_collections.madctl.multinode.plugins.module_utils._runs import survey

# A launch creates its directory and its programs well within this time; nothing younger ever counts as lost.
ARMING_SECONDS = 3600.0
DAY_SECONDS = 86400.0


def clear(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Remove the files of runs that ended, or were lost, more than ``days`` ago.

    Args:
        request: As for ``survey``; ``days``; ``keep``, runs that live on another node; ``dry_run``.

    Returns:
        ``removed`` (``run_id`` and ``bytes`` of each run), ``programs`` (likewise with ``name``; trees of code
        too), ``held`` (runs that are still on this node), ``stuck`` (``path`` and ``reason`` of what could not be
        removed).
    """
    # Directories first, processes second: a run that is armed in between is in neither list, and one that is armed
    # during the survey is young. Its directory was created for it, so the newest time in it is the time of its arming
    # or later, and nothing that young ever counts as old or lost. That is why no lock is needed.
    bases = survey.bases(request)
    names = {base: survey.names(base) for base in bases}
    clearing = _Clearing(request)
    for base in bases:
        clearing.base(base, names[base])
    return clearing.found


class _Clearing:
    """One pass over the directories of runs; ``found`` is the result."""

    def __init__(self, request: Dict[str, Any]) -> None:
        self._keep, self._is_dry = set(request["keep"]), request["dry_run"]
        self._age = max(0.0, float(request["days"])) * DAY_SECONDS
        self._processes, self._mounts, self._now = survey.Processes(), mount_table.points(), time.time()
        self.found: Dict[str, Any] = {"removed": [], "programs": [], "held": [], "stuck": []}

    def base(self, base: str, names: Sequence[str]) -> None:
        """Clear one directory of run directories."""
        gone, holder = set(), node_lock.holder(os.path.join(base, run_directory.LOCK))
        for name in names:
            path = os.path.join(base, name)
            if name.startswith(run_directory.GONE):
                # Left by an interrupted removal; one that is still at work keeps it young.
                if not self._is_dry and self._now - _measure(path)[0] > ARMING_SECONDS:
                    self._erase(path)
            elif survey.is_run(name, path):
                is_used = name in self._keep or self._processes.use(name, path) or holder == name
                size = None if is_used else self._old(path, 0.0 if survey.has_ended(path) else ARMING_SECONDS)
                if self._goes(path, size):
                    gone.add(name)
                    self.found["removed"].append({"run_id": name, "bytes": size})
                else:
                    self.found["held"].append(name)
        for name in filter(survey.PROGRAMS.match, names):
            path = os.path.join(base, name)
            is_used = name in _referred(base, gone, run_directory.BIN) or self._processes.use(name, path)
            size = None if is_used else self._old(path, ARMING_SECONDS)
            if self._goes(path, size, partial(self._is_free, base, run_directory.BIN)):
                self.found["programs"].append({"name": name, "bytes": size})
        self._trees(base, gone)
        if not self._is_dry and run_directory.is_of_job(base):
            with contextlib.suppress(OSError):
                os.rmdir(base)

    def _trees(self, base: str, gone: Set[str]) -> None:
        """Clear the code that no run was copied from, and the remains of code that was being stored."""
        room = os.path.join(base, run_directory.TREES)
        for name in survey.names(room):
            path = os.path.join(room, name)
            if name.startswith(run_directory.GONE):
                if not self._is_dry and self._now - _measure(path)[0] > ARMING_SECONDS:
                    self._erase(path)
            elif manifest.TREE.fullmatch(name):
                is_used = name in _referred(base, gone, run_directory.TREE)
                size = None if is_used else self._old(path, ARMING_SECONDS)
                if self._goes(path, size, partial(self._is_free, base, run_directory.TREE)):
                    self.found["programs"].append({"name": "%s/%s" % (run_directory.TREES, name), "bytes": size})

    def _old(self, path: str, least: float) -> Optional[int]:
        """Return the size of a directory in which nothing is young or mounted; None if something is."""
        newest, size = _measure(path)
        is_young = self._now - newest <= max(self._age, least)
        return None if is_young or any(filesystems.is_below(point, path) for point in self._mounts) else size

    def _goes(self, path: str, size: Optional[int], may: Callable[[str, str], bool] = lambda *_: True) -> bool:
        """
        Return whether a directory is removed, or would be.

        It is first moved out of sight, so that no process ever sees half of it, and then erased.

        Args:
            size: None if it stays.
            may: Returns whether the content that was moved from one path to another may be erased.
        """
        if size is None or self._is_dry:
            return size is not None
        base, name = os.path.split(path)
        away = os.path.join(base, "%s%d-%s" % (run_directory.GONE, os.getpid(), name))
        try:
            os.rename(path, away)
            if not may(path, away):
                os.rename(away, path)
                return False
        except OSError as error:
            self._stuck(path, error)
            return False
        self._erase(away)
        return True

    def _is_free(self, base: str, link: str, path: str, away: str) -> bool:
        """Return whether no run that is being armed has begun to use programs or code, which makes them young."""
        is_old = _measure(away)[0] <= self._now - max(self._age, ARMING_SECONDS)
        return is_old and os.path.basename(path) not in _referred(base, set(), link)

    def _erase(self, path: str) -> None:
        # A job can leave directories that forbid it even to their owner.
        for place, status in _walk(path):
            if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o700 != 0o700:
                with contextlib.suppress(OSError):
                    os.chmod(place, 0o700)
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            pass  # Another gc is erasing it, too.
        except (OSError, RecursionError) as error:
            self._stuck(path, error)

    def _stuck(self, path: str, error: Exception) -> None:
        self.found["stuck"].append({"path": path, "reason": plain_text.reason(error)})


def _walk(path: str) -> Iterator[Tuple[str, os.stat_result]]:
    """Yield a directory and everything below it; unreadable entries are left out, links are not followed."""
    waiting = [path]
    while waiting:
        place = waiting.pop()
        with contextlib.suppress(OSError):
            status = os.lstat(place)
            yield place, status
            if stat.S_ISDIR(status.st_mode):
                waiting += [os.path.join(place, name) for name in os.listdir(place)]


def _measure(path: str) -> Tuple[float, int]:
    """Return the newest time in a directory, and its size on disk."""
    newest, size = 0.0, 0
    for _, status in _walk(path):
        newest = max(newest, status.st_mtime)
        size += status.st_blocks * 512
    return newest, size


def _referred(base: str, gone: Set[str], link: str) -> Set[str]:
    """Return the names of programs or code that run directories link to, except directories that are gone."""
    users = (os.path.join(base, name, link) for name in survey.names(base) if name not in gone)
    return set(map(os.path.basename, procfs.targets(users)))
