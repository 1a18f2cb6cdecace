# SPDX-License-Identifier: Apache-2.0
"""
Our programs on shared storage: written once for all runs that use the same ones, by the hash of their content.

Private to the collection.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory


def name(files: Mapping[str, str]) -> str:
    """Return the name of the directory of programs, for the text of each file by its path below it."""
    return job_directory.PROGRAMS + hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


def write(place: Path, files: Mapping[str, str]) -> None:
    """
    Write programs into a directory of that name, unless they are there.

    Raises:
        OSError: If that is not possible.
    """
    if place.is_dir():
        if place.lstat().st_uid != os.geteuid():
            # Another user who owned them could have this user run anything.
            raise PermissionError(errno.EACCES, "it belongs to another user", str(place))
        os.utime(place)  # They are in use again, so gc must not count them as old.
        return
    partial = place.parent / (".%s.%d.%d" % (place.name, os.getpid(), time.monotonic_ns()))
    for path, text in files.items():
        (partial / path).parent.mkdir(0o700, parents=True, exist_ok=True)
        (partial / path).write_text(text)
    try:
        partial.rename(place)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not place.is_dir():
            raise  # If that failed, another run was faster.
