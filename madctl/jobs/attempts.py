# SPDX-License-Identifier: Apache-2.0
"""The attempts of a run whose job Slurm may requeue: their numbers, and the directory of each."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory


def last(place: Path) -> int:
    """Return the number of the latest attempt, counting from 0."""
    try:
        names = [path.name for path in (place / job_directory.ATTEMPTS).iterdir()]
    except OSError:
        return 0
    return max((int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 7), default=0)


def where(place: Path, number: int) -> Path:
    """Return the directory of an attempt."""
    return Path(job_directory.of_attempt(str(place), number))


def forget_request(place: Path) -> None:
    """Remove the request of a job that has ended: it may hold secrets."""
    try:
        (place / job_directory.REQUEST).unlink(missing_ok=True)
    except OSError:
        return
