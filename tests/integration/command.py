# SPDX-License-Identifier: Apache-2.0
"""The command as a user types it, the jobs that it starts, and how it ended."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

JOBS = Path(__file__).parent / "jobs"
MADCTL = Path(sys.executable).with_name("madctl")
EXAMPLE = str(Path(__file__).parents[2] / "examples" / "all_reduce.py")


@dataclass(frozen=True)
class Finished:
    """How a madctl command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def codes(self):
        return [error["code"] for error in self.json["errors"]]


def madctl(*words, cwd=JOBS, env=None, timeout=120):
    """Run madctl as a user does."""
    argv = [str(MADCTL), *map(os.fsencode, words)]
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, timeout=timeout)
    return Finished(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def wait_for(condition, seconds=30):
    """Wait until something is so; that it never is fails the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
