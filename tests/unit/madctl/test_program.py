# SPDX-License-Identifier: Apache-2.0
"""The process of madctl ends with its own exit code, whatever still runs in it."""

import subprocess
import sys

import pytest

HANGS = """
import atexit, sys, threading, time
from madctl import cli

cli._CLOSING_SECONDS = 50
atexit.register(lambda: print("closed", flush=True))
threading.Thread(target=time.sleep, args=(1000,), daemon={daemon}).start()
cli.main = lambda: print("told", flush=True) or 3
cli.program()
"""
STUCK = """
import atexit, threading, time
from madctl import cli

cli._CLOSING_SECONDS = 0.1
lock = threading.Lock()
lock.acquire()
atexit.register(lock.acquire)
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
cli.main = lambda: 4
cli.program()
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("daemon", [True, False])
def test_a_thread_that_hangs_neither_delays_nor_changes_the_end(daemon):
    done = run(HANGS.format(daemon=daemon))

    assert (done.returncode, done.stdout, done.stderr) == (3, "told\nclosed\n", "")


def test_what_closes_the_screen_may_hang_as_well():
    done = run(STUCK)

    assert (done.returncode, done.stderr) == (4, "")


def test_the_program_is_what_is_installed():
    done = subprocess.run([sys.executable, "-m", "madctl", "--version"], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("madctl ")
