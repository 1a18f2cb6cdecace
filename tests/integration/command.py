# SPDX-License-Identifier: Apache-2.0
"""The command as a user types it, the jobs that it starts, and how it ended."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests import output_schema

JOBS = Path(__file__).parent / "jobs"
MADCTL = Path(sys.executable).with_name("madctl")
EXAMPLE = str(Path(__file__).parents[2] / "examples" / "all_reduce.py")
# A run on this machine itself would meet those of other tests, and their ports, which may be there at the same time.
ALONE = [
    *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
]


@dataclass(frozen=True)
class Finished:
    """How a madctl command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The result, which is as its schema promises, whatever the test is about."""
        found = json.loads(self.out)
        mistakes = output_schema.mistakes(found)
        assert not mistakes, f"{mistakes} in {self.out}"
        return found

    @property
    def lines(self):
        """The lines of logs that were asked for as objects, each as its schema promises."""
        found = [json.loads(line) for line in self.out.splitlines()]
        mistakes = [mistake for line in found for mistake in output_schema.mistakes_in_line(line)]
        assert not mistakes, mistakes
        return found

    @property
    def codes(self):
        return [error["code"] for error in self.json["errors"]]


def madctl(*words, cwd=JOBS, env=None, timeout=240, before=()):
    """Run madctl as a user does, who presses Ctrl-C when it takes too long: its run must not outlive it."""
    argv, pipe = [*before, str(MADCTL), *map(os.fsencode, words)], subprocess.PIPE
    with subprocess.Popen(argv, cwd=cwd, env={**os.environ, **(env or {})}, stdout=pipe, stderr=pipe) as process:
        try:
            data, is_late = process.communicate(timeout=timeout), False
        except subprocess.TimeoutExpired:
            data, is_late = _interrupted(process), True
    out, err = (text.decode(errors="replace") for text in data)
    assert not is_late, f"madctl {words[0]} did not end in {timeout} s:\n{out}{err}"
    return Finished(process.returncode, out, err)


def _interrupted(process):
    """Interrupt a command, or kill it where that does not help, and give its output."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


def wait_for(condition, seconds=60):
    """Wait until something is so; that it never is fails the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
