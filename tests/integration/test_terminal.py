# SPDX-License-Identifier: Apache-2.0
"""What a person sees of the job's output on a terminal: bars in place, colours, a clock, the reason of a stop."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pyte
import pytest

from madctl.lab import power
from tests.integration import bare_ansible
from tests.integration.command import JOBS, MADCTL
from tests.integration.host_processes import on_host

pytestmark = pytest.mark.lab

BARS = ("load", "batch 0", "batch 1", "epochs")
WAITING = ("load", "batch 0", "batch 1")
BOTH = r"(?s)epochs: +50%.*batch 1: +[1-9]"
HEIGHT = 30
ERASE = re.compile(rb"(?=\r\x1b\[J)")  # as each drawing begins
ASK = "printf 'continue? '; exec sleep 300"


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
        self._changed = threading.Condition()
        self._is_over = False
        self.written = b""
        self.states = {bar: set() for bar in BARS}  # of the bars of node1, as they were seen
        self.most = dict.fromkeys(BARS, 0)  # lines that showed a bar of node1 at once
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
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def resize(self, columns):
        with self._changed:
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, columns, 0, 0))
            self.screen.resize(HEIGHT, columns)

    def _read(self):
        with contextlib.suppress(OSError):  # A terminal without a writer.
            while data := os.read(self._master, 65536):
                with self._changed:
                    self.written += data
                    # However much came at once, everything that was drawn is looked at.
                    for drawn in ERASE.split(data):
                        self._stream.feed(drawn)
                        self._look()
                    self._changed.notify_all()
        os.close(self._master)
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _look(self):
        lines = self.lines
        for bar in BARS:
            seen = [line for line in lines if re.match(rf"node1 +[│|] {bar}:", line)]
            self.most[bar] = max(self.most[bar], len(seen))
            self.states[bar].update(seen)

    @property
    def lines(self):
        """All lines that a person can scroll to."""
        above = ["".join(line[at].data for at in range(self.screen.columns)) for line in self.screen.history.top]
        return [line.rstrip() for line in [*above, *self.screen.display] if line.strip()]

    def until(self, text, seconds=120):
        """Wait until a text is to be seen, and return all lines."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not re.search(text, "\n".join(self.lines)):
                left = max(0, deadline - time.monotonic())
                assert not self._is_over and self._changed.wait(left), (text, self.lines)
            return self.lines

    def end(self, seconds=120):
        """Wait until the command has ended, and return its exit code and all lines."""
        self._reader.join(seconds)
        if self._reader.is_alive():
            self.process.kill()
            pytest.fail(f"it did not end: {self.lines}")
        return self.process.wait(60), self.lines


@pytest.fixture
def go_on(hosts):
    """Let a bar that waits in its middle go on, on all hosts."""

    def go_on(bar):
        for host in hosts.hosts:
            on_host(hosts, host.name, "sh", "-c", f"mkdir -p /run/bars && touch '/run/bars/{bar}'")

    yield go_on
    for host in hosts.hosts:
        on_host(hosts, host.name, "rm", "-rf", "/run/bars")


def launch(hosts, columns, *words, **env):
    return Terminal(columns, MADCTL, "launch", "--lab", hosts.name, "--command", "--", *words, **env)


def printed(lines, text):
    """On how many nodes a line was printed; how many of them share one depends on how close together they end."""
    labels = [re.split("[│|]", line)[0] for line in lines if re.search(rf"[│|] {text}", line)]
    return sum(int(label.partition("×")[2] or 1) for label in labels)


def half_of(bar):
    """Return what is seen of a bar that waits in its middle."""
    return rf"node1 +[│|] {bar}: +[1-9]"


def looks_right(terminal, most=1):
    """Hold that every bar was seen once, or at ``most`` so often, at a time, moving, and was left once per node."""
    code, lines = terminal.end()
    assert code == 0, lines
    assert {bar: 1 <= seen <= most for bar, seen in terminal.most.items()} == dict.fromkeys(BARS, True), lines
    assert len(terminal.states["batch 1"]) > 2, terminal.states
    assert {bar: printed(lines, f"{bar}: 100%") for bar in BARS} == dict.fromkeys(BARS, 3), lines
    assert not [line for line in lines if re.search(r"(load|batch|epochs).*: +\d?\d%", line)], lines
    assert b"\x1b[2J" not in terminal.written
    return lines


def test_bars_are_drawn_in_place_and_end_as_lines(hosts, go_on):
    first = launch(hosts, 80, sys.executable, "bars.py")
    first.until(half_of("load"))
    followers = [Terminal(40, MADCTL, "attach"), Terminal(200, MADCTL, "logs", "-f", NO_COLOR="1")]
    for bar in WAITING:
        for terminal in (first, *followers):
            terminal.until(half_of(bar))
        if bar == WAITING[-1]:
            for terminal in (first, *followers):
                outer, inner = terminal.until(BOTH)[-2:]
                # Both at the end, the outer one first, each on one line of the terminal.
                assert re.match(r"node1 +│ epochs: +50%", outer), (outer, inner)
                assert re.match(r"node1 +│ batch 1:", inner), (outer, inner)
        go_on(bar)
    lines = looks_right(first)
    assert [line.split()[0] for line in lines[: next(at for at, line in enumerate(lines) if "│" in line)]][-1] == "go"
    assert lines[-1].startswith("done    succeeded"), lines
    assert printed(lines, r"red \\x1b\[2Jplain$") == 3, lines
    assert b"\x1b[31mred\x1b[0m" in first.written
    for terminal in followers:
        looks_right(terminal)
    assert b"\x1b[31m" in followers[0].written and b"\x1b[31m" not in followers[1].written


def test_bars_in_a_playbook_are_drawn_in_place(hosts, go_on):
    work = {"madctl_shape": "command", "madctl_chdir": str(JOBS), "madctl_work": [sys.executable, "bars.py"]}
    words = ["-i", bare_ansible.inventory(hosts), "-e", json.dumps(work)]
    playbook = MADCTL.with_name("ansible-playbook"), "madctl.multinode.launch"
    terminal = Terminal(80, *playbook, *words, ANSIBLE_STDOUT_CALLBACK="madctl.multinode.live")
    for bar in WAITING:
        terminal.until(half_of(bar))
        go_on(bar)
    # Seen once: between two writes of Ansible's process a bar was there twice. What stays is held exactly.
    lines = looks_right(terminal, most=2)

    assert any(line.startswith("done    succeeded") for line in lines), lines


def test_silence_has_a_clock_and_an_interrupt_leaves_nothing_behind(hosts):
    terminal = launch(hosts, 80, "sh", "-c", ASK)
    terminal.until(r"(?m)│ continue\?$")
    piped = subprocess.Popen([MADCTL, "logs", "-f"], stdout=subprocess.PIPE, text=True)
    clock = r"(?m)│ continue\?\nrunning on 3 nodes, no output for (\d+ \w+)$"
    seen = re.search(clock, "\n".join(terminal.until(clock)))[1]
    terminal.resize(40)
    lines = terminal.until(f"no output for (?!{seen})\\d+ \\w+")
    assert [sum(text in line for line in lines) for text in ("continue?", "no output")] == [1, 1], lines
    # Where nothing can be drawn, a line that does not end is shown now and then.
    assert re.match(r"node1 +│ continue\? $", piped.stdout.readline())
    piped.send_signal(signal.SIGINT)
    assert piped.wait(120) == 130
    os.kill(terminal.process.pid, signal.SIGINT)
    code, lines = terminal.end()

    assert code == 130, lines
    assert printed(lines, r"continue\?") == 3, lines
    assert not [line for line in lines if "no output" in line], lines
    assert [line for line in lines if line.startswith("stop ")] == ["stop    interrupted; stopping all nodes;"], lines


def test_a_stop_is_told_with_its_reason(hosts):
    fails_there = 'test "$NODE_RANK" != 1 || exit 3; exec sleep 300'
    code, lines = launch(hosts, 80, "sh", "-c", fails_there).end()
    stops = [line for line in lines if line.startswith("stop ")]

    assert code == 6, lines
    assert stops == ["stop    the command on node2 failed (exit code 3); stopping all nodes"], lines
