# SPDX-License-Identifier: Apache-2.0
"""
The directory of a job on storage that its nodes share: made before the job is submitted, read until long after it.

Only its user may enter it. It shows how a run ended without any other program. Private to the collection.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from itertools import chain
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, job_directory, sealed, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._submit import programs

# As over other ways: something that nodes have without any installation.
PYTHON = "/usr/bin/python3"
_MOST_BYTES = 64 << 20
# A story is read in parts, and the plan of several thousand nodes is longer than one part.
_PART_BYTES, _PLAN_PARTS = 1 << 20, 8
# These have a special meaning in the names of sbatch's files.
_MEANT_OTHERWISE = "%\\"
SCRIPT = """\
#!/bin/sh
# madctl {run_id}; its options are on the command line of sbatch, see {submission}
exec {python} -I -S {launcher} {conductor} {place}
"""


def make(base: Path, run_id: str, request: Mapping[str, Any], files: Mapping[str, str], name: str) -> Path:
    """
    Make the directory of a run, with everything that its job reads.

    Args:
        base: The directory of run directories.
        request: What to run; it may hold secrets, and the job removes it as soon as it has read it.
        files: The text of each of our programs, by its path; none if they exist already.
        name: The name of the directory of programs.

    Raises:
        Refused: If that is not possible in ``base``.
    """
    place = checked(base) / run_id
    try:
        base.mkdir(0o700, parents=True, exist_ok=True)
        programs.write(base / name, files)
        place.mkdir(0o700)
        write(place, job_directory.KEY, secrets.token_bytes(sealed.KEY_BYTES))
        write(place, job_directory.REQUEST, json.dumps(request).encode())
        write(place, job_directory.SCRIPT, script(place, name).encode(), 0o700)
    except OSError as error:
        remedy = "choose a directory that you may write to, and all nodes see: --run-root PATH"
        raise Refused("RUN_DIR_UNWRITABLE", "%s: %s" % (error.filename, error.strerror), remedy) from error
    return place


def checked(base: Path) -> Path:
    """
    Return the directory of runs if jobs can write their output to it.

    Raises:
        Refused: If its path has characters with a special meaning for Slurm.
    """
    text = str(base)
    if set(text) & set(_MEANT_OTHERWISE) or not text.isprintable() or " " in text:
        message = "--run-root %r: Slurm takes no path with blanks, '%%' or backslashes for a job's output" % text
        raise Refused("USAGE", message)
    return base


def script(place: Path, name: str) -> str:
    """
    Return the script of the job of a run.

    Args:
        name: The name of the directory of programs.
    """
    return SCRIPT.format(
        run_id=place.name,
        submission=job_directory.SUBMISSION,
        python=PYTHON,
        launcher=place.parent / name / job_directory.LAUNCHER,
        conductor=job_directory.CONDUCTOR,
        place=place,
    )


def write(place: Path, name: str, data: bytes, mode: int = 0o600) -> None:
    """Write a file that only this user can read, completely or not at all."""
    partial = place / (".%s.%d" % (name, os.getpid()))
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(place / name)


def write_object(place: Path, name: str, data: Mapping[str, Any]) -> None:
    """Write a file with one JSON object, completely or not at all."""
    write(place, name, json.dumps(data).encode())


def remove(place: Path) -> None:
    """Remove the directory of a run whose job was never submitted."""
    shutil.rmtree(place, ignore_errors=True)


def read(place: Path, name: str) -> Optional[Dict[str, Any]]:
    """Read one JSON object; None if there is none yet, or something else."""
    try:
        with open(place / name, "rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError:
        return None
    return wire.parse_or_none(data) if len(data) <= _MOST_BYTES else None


def planned(place: Path) -> Optional[Dict[str, Any]]:
    """Return the plan of an attempt, the last one if it was restarted in its job; None if there is none yet."""
    last = read(place, job_directory.PLAN)
    if last is not None:
        return last
    story = Story(place)
    with contextlib.suppress(wire.WireError):
        for event, _ in chain.from_iterable(story.more() for _ in range(_PLAN_PARTS)):
            if event.get("event") == events.PLANNED:
                plan = event.get("plan")
                return plan if isinstance(plan, dict) else None
    return None


class Story:
    """Reads the frames of a run's story, as far as they are written."""

    def __init__(self, place: Path) -> None:
        self._path = place / job_directory.STORY
        self._decoder = wire.Decoder()
        self._position = 0

    @property
    def more_waits(self) -> bool:
        """Whether there is more than was read so far."""
        try:
            return self._path.stat().st_size > self._position
        except OSError:
            return False

    @property
    def has_begun(self) -> bool:
        """Whether the job has begun to write."""
        return self._position > 0 or self._path.exists()

    def more(self) -> List[wire.Frame]:
        """
        Return the frames that were added, some at a time.

        Raises:
            WireError: If the content is not a story.
        """
        # Opened each time, because a network file system then asks its server.
        try:
            with open(self._path, "rb") as stream:
                stream.seek(self._position)
                data = stream.read(_PART_BYTES)
        except OSError:
            return []
        self._position += len(data)
        return list(self._decoder.feed(data))
