# SPDX-License-Identifier: Apache-2.0
"""What a person sees of the job's output on a terminal: bars in place, colours, a clock, the reason of a stop."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pyte
import pytest

from madctl.lab import power
from tests.integration.command import JOBS, MADCTL

pytestmark = pytest.mark.lab

BARS = ("load", "batch 0", "batch 1", "epochs")
HEIGHT = 30


@pytest.fixture(scope="module")
def hosts():
    """A lab of three hosts."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    name = f"term-{os.getpid()}"
    before = os.getcwd()
    os.chdir(JOBS)
    try:
        yield power.up(name, 3, {})
    finally:
        os.chdir(before)
        power.down(name)


class Terminal:
    """A command on a terminal of its own, and what a person sees there."""

    def __init__(self, columns, *argv, **env):
        self.screen = pyte.HistoryScreen(columns, HEIGHT, history=5000)
        self._stream = pyte.ByteStream(self.screen)
        self._master, theirs = pty.openpty()
        self.resize(columns)
        self.process = subprocess.Popen(
            [*map(str, argv)],
            cwd=JOBS,
            env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.written = b""
        self.bars = {}  # the states of each bar, as they were seen
        self.most = {}  # how many lines showed it at once, at most, of node1 alone

    def resize(self, columns):
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, columns, 0, 0))
        self.screen.resize(HEIGHT, columns)

    @property
    def lines(self):
        """All lines that a person can scroll to."""
        above = ["".join(line[at].data for at in range(self.screen.columns)) for line in self.screen.history.top]
        return [line.rstrip() for line in [*above, *self.screen.display] if line.strip()]

    def until(self, text, seconds=60):
        """Read until a text is to be seen."""
        deadline = time.monotonic() + seconds
        while not re.search(text, "\n".join(self.lines)):
            assert self._read(deadline), (text, self.lines)
        return self.lines

    def end(self, seconds=60):
        """Read up to the end of the command; return its exit code."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        os.close(self._master)
        return self.process.wait(10)

    def _read(self, deadline):
        if not select.select([self._master], [], [], max(0, deadline - time.monotonic()))[0]:
            self.process.kill()
            pytest.fail(f"too late: {self.lines}")
        data = b""
        with contextlib.suppress(OSError):  # A terminal without a writer.
            data = os.read(self._master, 65536)
        self.written += data
        self._stream.feed(data)
        for bar in BARS:
            seen = [line for line in self.lines if re.match(rf"node1 +[│|] {bar}:", line)]
            self.most[bar] = max(self.most.get(bar, 0), len(seen))
            self.bars.setdefault(bar, set()).update(seen)
        return bool(data)


def launch(hosts, columns, *words, options=(), **env):
    argv = ["launch", "--lab", hosts.name, *options, "--command", "--", sys.executable, "bars.py", *words]
    return Terminal(columns, MADCTL, *argv, **env)


def ends(lines, bar):
    """How many nodes a bar is seen to have ended on."""
    labels = [line.partition("│")[0] for line in lines if re.search(rf"│ {bar}: 100%", line)]
    return sum(int(label.partition("×")[2] or 1) for label in labels)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_bars_are_drawn_in_place_and_end_as_lines(hosts, columns):
    terminal = launch(hosts, columns)
    middle = terminal.until(r"(?s)epochs: +50%.*batch 1: +[1-9]")
    code, lines = terminal.end(), terminal.lines

    assert code == 0, lines
    assert terminal.most == dict.fromkeys(BARS, 1), lines
    assert all(len(states) > 5 for bar, states in terminal.bars.items() if bar != "epochs"), terminal.bars
    # Both at the end, the outer one first, each on one line of the terminal.
    assert re.match(r"node1 +│ epochs: +50%", middle[-2]) and re.match(r"node1 +│ batch 1:", middle[-1]), middle
    assert {bar: ends(lines, bar) for bar in BARS} == dict.fromkeys(BARS, 3), lines
    assert not [line for line in lines if re.search(r"(load|batch|epochs).*: +\d?\d%", line)], lines
    assert lines[-1].startswith("done    succeeded"), lines
    job = [at for at, line in enumerate(lines) if "│" in line]
    assert [line.split()[0] for line in lines[: job[0]]][-2:] == ["arm", "go"], lines
    if columns > 40:
        assert any(re.search(r"×3 +│ red \\x1b\[2Jplain$", line) for line in lines), lines
    assert b"\x1b[31mred\x1b[0m" in terminal.written and b"\x1b[2J" not in terminal.written
