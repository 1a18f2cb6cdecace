# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in every stage leaves no process on any host; the stage is seen, never guessed by time."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.integration.conftest import JOBS, MADCTL

pytestmark = pytest.mark.lab


def start(lab, *words):
    """Launch on two hosts, with everything it says on one stream."""
    argv = [
        str(MADCTL),
        "launch",
        "--lab",
        lab.name,
        "--hosts",
        "node1,node2",
        "--python",
        sys.executable,
        "--",
        *words,
    ]
    return subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)


def read_until(process, marker):
    """Read up to the line that holds ``marker`` and give it all; a line that is not there fails the test, a late one, too."""
    seen = []
    watch = threading.Timer(90, process.kill)
    watch.start()
    try:
        for line in process.stdout:
            seen.append(line)
            if marker in line:
                return "".join(seen)
    finally:
        watch.cancel()
    pytest.fail("never seen: " + "".join(seen))


@pytest.mark.parametrize("marker", ["probe ", "plan ", "arm ", "go ", "waiting"])
def test_one_interrupt_stops_everything(lab, marker):
    process = start(lab, "wait.py", "leak")
    read_until(process, marker)
    os.kill(process.pid, signal.SIGINT)
    output = process.stdout.read()

    assert process.wait(timeout=60) == 130, output


def test_a_second_interrupt_kills_what_ignores_the_first(lab):
    process = start(lab, "wait.py", "stubborn")
    for marker in ("waiting", "telling all nodes"):
        read_until(process, marker)
        os.kill(process.pid, signal.SIGINT)
    # A deadline below the 30 seconds that torchrun alone would give its workers.
    output, _ = process.communicate(timeout=25)

    assert process.returncode == 130, output
