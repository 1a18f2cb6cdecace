# SPDX-License-Identifier: Apache-2.0
"""
Leave a node to other users at the end of a run in a job: save the files worth keeping to shared storage, remove the
rest.

Private to the collection.
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import os
import re
import shutil
import stat
from typing import Any, BinaryIO, Dict, List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._node import small_files, trees
from ansible_collections.madctl.multinode.plugins.module_utils._runs import cleanup, packing

_DAYS = 7.0
_SEGMENT = re.compile(r"(.+?)(\.\d+)?", re.ASCII)


class TooMuch(Exception):  # noqa: N818  it stays where it is
    """The directory of a run is larger than the limit of what to keep."""


def leave(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Pack the directory of a run as ``collect`` would fetch it, then remove the directory of the job's runs.

    Args:
        request: ``base``, which only this job uses; ``run_dir`` in it, or None; ``pack``, the file to write, of
            ``most`` bytes; ``whole``, the logs that are kept completely elsewhere.

    Returns:
        ``still``: why the directory is still there, or None.
    """
    base, run_dir, pack = request["base"], request["run_dir"], request["pack"]
    if not os.path.isdir(base):
        return {"still": None}
    try:
        if run_dir and os.path.isdir(run_dir):
            _write(pack, run_dir, [*run_directory.OF_SUPERVISOR, *_logs(run_dir, request["whole"])], request["most"])
        _remove(base)
        _clear_others(base)
    except TooMuch:
        return {"still": "it is larger than %d MiB" % (request["most"] >> 20)}
    except (OSError, RecursionError) as error:
        return {"still": reason(error, is_named=True)}
    return {"still": None}


def _clear_others(base: str) -> None:
    """Remove what killed jobs of this user left on this node, when it is as old as for ``madctl gc``."""
    user_base = run_directory.base(os.geteuid())
    others = [path for path in glob.glob(user_base + "-[0-9]*") if path != base and run_directory.is_of_job(path)]
    if others:
        request = {"run_dir": others[0], "bases": others[1:], "keep": [], "days": _DAYS, "dry_run": False}
        cleanup.clear(request)


def _logs(run_dir: str, whole: Sequence[str]) -> List[str]:
    """List the files of logs, including later segments."""
    try:
        names = os.listdir(os.path.join(run_dir, run_directory.LOGS))
    except OSError:
        return []
    stems = {name: found[1] for name, found in ((name, _SEGMENT.fullmatch(name)) for name in names) if found}
    return ["%s/%s" % (run_directory.LOGS, name) for name in names if stems.get(name) in whole]


def _write(pack: str, run_dir: str, without: Sequence[str], most: int) -> None:
    partial = pack + ".partial"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as out:
            _fill(out, run_dir, without, most)
            out.flush()
            os.fsync(descriptor)
        os.rename(partial, pack)
    except BaseException:
        small_files.remove(partial)
        raise


def _fill(out: BinaryIO, run_dir: str, without: Sequence[str], most: int) -> None:
    # Most of it consists of numbers and text, and the job waits for the nodes.
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as archive:
        for frame in packing.packed(run_dir, [*without, *trees.unchanged(run_dir)]):
            archive.write(frame)
            if out.tell() > most:
                raise TooMuch


def _remove(base: str) -> None:
    # A job can leave directories that forbid it even to their owner.
    for place, directories, _ in os.walk(base):
        for name in directories:
            with contextlib.suppress(OSError):
                path = os.path.join(place, name)
                if stat.S_ISDIR(os.lstat(path).st_mode):
                    os.chmod(path, 0o700)
    shutil.rmtree(base)
