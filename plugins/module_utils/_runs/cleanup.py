# SPDX-License-Identifier: Apache-2.0
"""
Clear away what runs left on one node that ended long ago. Private to the collection.

A live run is never touched: it has a process, or files that are young.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import mount_table, node_lock
from ansible_collections.madctl.multinode.plugins.module_utils._runs import survey

# A launch makes its directory and its programs well within this; nothing younger is ever taken for lost.
ARMING_SECONDS = 3600.0
DAY_SECONDS = 86400.0


def clear(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Remove what runs left that ended, or were lost, more than ``days`` ago.

    Args:
        request: As for ``survey``; ``days``; ``keep``, runs that live on another node; ``dry_run``.

    Returns:
        ``removed`` (``run_id`` and ``bytes`` of each run), ``programs`` (likewise with ``name``), ``held`` (runs
        that are still here), ``stuck`` (``path`` and ``reason`` of what could not be removed).
    """
    # Directories first, processes second: a run that is armed in between is in neither list, and one that is armed
    # while we look is young. Its directory was made for it, so the newest time in it is the time of its arming or
    # later, and nothing that young is ever old or lost. That is why this needs no lock.
    bases = survey.bases(request)
    names = {base: survey.names(base) for base in bases}
    processes, mounts, now = survey.Processes(), mount_table.points(), time.time()
    age = max(0.0, float(request["days"])) * DAY_SECONDS
    found: Dict[str, Any] = {"removed": [], "programs": [], "held": [], "stuck": []}

    def old(path: str, least: float) -> Optional[int]:
        """Give the size of a directory in which nothing is young or mounted."""
        newest, size = _measure(path)
        if now - newest <= max(age, least) or any(point == path or point.startswith(path + "/") for point in mounts):
            return None
        return size

    for base in bases:
        gone, holder = set(), node_lock.holder(os.path.join(base, run_directory.LOCK))
        for name in names[base]:
            path = os.path.join(base, name)
            if name.startswith(run_directory.GONE):
                # Left by a removal that was interrupted; a removal that goes on makes it young all the time.
                if not request["dry_run"] and now - _measure(path)[0] > ARMING_SECONDS:
                    _erase(path, found["stuck"])
                continue
            if not survey.is_run(name, path):
                continue
            size = None
            if name not in request["keep"] and not processes.use(name, path) and holder != name:
                size = old(path, 0.0 if survey.has_ended(path) else ARMING_SECONDS)
            if size is None or not (request["dry_run"] or _remove(base, name, found["stuck"])):
                found["held"].append(name)
            else:
                gone.add(name)
                found["removed"].append({"run_id": name, "bytes": size})
        for name in filter(survey.PROGRAMS.match, names[base]):
            path = os.path.join(base, name)
            if name in _referred(base, gone) or processes.use(name, path):
                continue
            size = old(path, ARMING_SECONDS)
            limit = now - max(age, ARMING_SECONDS)
            if size is not None and (request["dry_run"] or _remove_programs(base, name, limit, found["stuck"])):
                found["programs"].append({"name": name, "bytes": size})
    return found


def _walk(path: str) -> Iterator[Tuple[str, os.stat_result]]:
    """Give a directory and everything below it; what cannot be read is left out, links are not followed."""
    waiting = [path]
    while waiting:
        place = waiting.pop()
        try:
            status = os.lstat(place)
            yield place, status
            if stat.S_ISDIR(status.st_mode):
                waiting += [os.path.join(place, name) for name in os.listdir(place)]
        except OSError:
            continue


def _measure(path: str) -> Tuple[float, int]:
    """Find the newest time in a directory, and the space that it takes."""
    newest, size = 0.0, 0
    for _, status in _walk(path):
        newest = max(newest, status.st_mtime)
        size += status.st_blocks * 512
    return newest, size


# -- removal ---------------------------------------------------------------------------------------------


def _referred(base: str, gone: Set[str]) -> Set[str]:
    """Name the programs that run directories use, except those that are gone."""
    found = set()
    for name in survey.names(base):
        try:
            if name not in gone:
                found.add(os.path.basename(os.readlink(os.path.join(base, name, run_directory.BIN))))
        except OSError:
            continue
    return found


def _remove(base: str, name: str, stuck: List[Dict[str, str]]) -> bool:
    """Take a directory out of sight at once, so that nobody ever sees half of it, then erase it."""
    away = os.path.join(base, "%s%d-%s" % (run_directory.GONE, os.getpid(), name))
    try:
        os.rename(os.path.join(base, name), away)
    except OSError as error:
        stuck.append({"path": os.path.join(base, name), "reason": str(error.strerror)})
        return False
    _erase(away, stuck)
    return True


def _remove_programs(base: str, name: str, limit: float, stuck: List[Dict[str, str]]) -> bool:
    """Remove programs, unless a run that is armed right now has begun to use them: arming makes them young."""
    path, away = os.path.join(base, name), os.path.join(base, "%s%d-%s" % (run_directory.GONE, os.getpid(), name))
    try:
        os.rename(path, away)
        if _measure(away)[0] > limit or name in _referred(base, set()):
            os.rename(away, path)
            return False
    except OSError as error:
        stuck.append({"path": path, "reason": str(error.strerror)})
        return False
    _erase(away, stuck)
    return True


def _erase(path: str, stuck: List[Dict[str, str]]) -> None:
    # Directories that forbid it to their owner, too, are the job's leavings.
    for place, status in _walk(path):
        if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o700 != 0o700:
            try:
                os.chmod(place, 0o700)
            except OSError:
                pass
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass  # Somebody else erases it, too.
    except (OSError, RecursionError) as error:
        stuck.append({"path": path, "reason": getattr(error, "strerror", None) or str(error)})
