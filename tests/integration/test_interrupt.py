# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in every stage leaves no process on any host; the stage is seen, never guessed by time."""

import os
import signal
import subprocess
import sys

import pytest

from tests.integration.conftest import JOBS, MADCTL

pytestmark = pytest.mark.lab


def interrupted_at(lab, marker, *words, times=1):
    """Launch, wait until a line begins with ``marker``, press Ctrl-C, return what came after."""
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
    process = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
    seen = []
    for line in process.stdout:
        seen.append(line)
        if marker in line:
            for _ in range(times):
                os.kill(process.pid, signal.SIGINT)
            break
    else:
        pytest.fail("never seen: " + "".join(seen))
    rest = process.stdout.read()
    return process.wait(timeout=60), "".join(seen) + rest


@pytest.mark.parametrize("marker", ["probe ", "plan ", "arm ", "go ", "waiting"])
def test_one_interrupt_stops_everything(lab, marker):
    code, output = interrupted_at(lab, marker, "wait.py", "leak")

    assert code == 130, output


def test_a_second_interrupt_kills_what_ignores_the_first(lab):
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
        "wait.py",
        "stubborn",
    ]
    process = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
    for line in process.stdout:
        if "waiting" in line:
            os.kill(process.pid, signal.SIGINT)
        if "telling all nodes" in line:
            os.kill(process.pid, signal.SIGINT)
            break
    process.stdout.read()

    assert process.wait(timeout=25) == 130
