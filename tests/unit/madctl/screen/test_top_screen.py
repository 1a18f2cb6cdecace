# SPDX-License-Identifier: Apache-2.0
"""What ``madctl top`` draws on a terminal, what stays there, and the terminal afterwards."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time

import pyte
import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._conduct.sampling import Node
from madctl.screen import top_screen
from tests.unit.module_utils import measured

NODES = {
    "gpu01": Node(
        "running", measured.sample({0: measured.load(percent=99.0), 1: measured.load(percent=98.0)}), None, 5.0
    ),
    "gpu02": Node("running", measured.sample({2: measured.load(percent=1.0, output=77.0)}), None, 1e9),
    "gpu03": Node(None, None, {"code": "NODE_SILENT"}, 0.0),
}
ODD = {("gpu02", 2): ["output", "cpu"]}


def text(nodes, odd=(), now=6.0):
    return "\n".join(top_screen.lines("run x", nodes, dict(odd), now))


def test_what_there_is_to_say_of_a_node():
    sample = measured.sample()
    nodes = {
        "silent": Node("running", sample, {"code": "NODE_SILENT"}),
        "slow": Node(),
        "armed": Node("armed"),
        "first": Node("running"),
        "over": Node("exited", sample),
        "short": Node("exited"),
        "killed": Node("lost", sample),
        "old": Node("running", sample, None, 1.0),
        "broken": Node("running", measured.sample(gpus_error="the driver does not answer"), None, 90.0),
        "fine": Node("running", sample, None, 90.0),
    }
    notes = {line.split()[0]: line for line in text(nodes, now=91.0).splitlines()[2:]}

    assert "! no answer" in notes["silent"]
    assert notes["slow"].endswith("  no answer yet")
    assert notes["armed"].endswith("  not started yet")
    assert notes["first"].endswith("  first sample follows")
    assert notes["over"].endswith("  exited, last sample")
    assert notes["short"].endswith("  exited, no samples")
    assert "! lost, last sample" in notes["killed"]
    assert "! sample of 90 s ago" in notes["old"]
    assert "! GPUs: the driver does not answer" in notes["broken"]
    assert notes["fine"].endswith("  1 s")


def test_a_run_of_which_no_node_is_known_yet():
    assert text({}).splitlines()[-1] == "no node of the run has started yet"


def test_the_ranks_of_ended_nodes_are_compared_only_once_all_have_ended():
    over = {host: node._replace(state="exited") for host, node in NODES.items()}

    assert list(top_screen.samples(NODES)) == ["gpu01", "gpu02"]
    assert list(top_screen.samples({**NODES, "gpu01": over["gpu01"]})) == ["gpu02"]
    assert list(top_screen.samples({**over, "gpu03": Node("exited")})) == ["gpu01", "gpu02"]


def test_the_data_of_nodes():
    found = top_screen.data({**NODES, "gpu04": Node("armed")}, ODD)

    assert list(found) == ["gpu01", "gpu02", "gpu04"]
    assert found["gpu02"]["ranks"]["2"]["lagging"] == ["output", "cpu"]
    assert (found["gpu01"]["state"], found["gpu01"]["cpu_percent"], found["gpu01"]["ranks"]["0"]["lagging"]) == (
        *("running", 50.0, []),
    )
    # What is not known has its place.
    assert set(found["gpu04"]) == set(found["gpu01"])
    assert (found["gpu04"]["state"], found["gpu04"]["cpu_percent"], found["gpu04"]["ranks"]) == ("armed", None, {})


DRAWS = """\
import sys, time
from madctl.commands.top import _watch
from madctl.screen import terminal
from madctl.screen.keys import Keys
from tests.unit.madctl.screen.test_top_screen import NODES
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop

class Source:
    loop, nodes, is_over = Loop(), NODES, False

terminal.prepare()
source = Source()
if sys.argv[1:] == ["ends"]:
    source.loop.after(0.1, lambda: setattr(source, "is_over", True))
if sys.argv[1:] == ["breaks"]:
    source.loop.after(0.1, lambda: [][5])
if sys.argv[1:2] == ["late"]:
    read = Keys.read

    def late(self):
        open(sys.argv[2], "w").close()
        while not self.is_leaving:
            time.sleep(0.01)
        read(self)

    Keys.read = late
sys.exit(_watch("run 20261129-1025", source))
"""


class Terminal:
    """A terminal on which a source is drawn."""

    def __init__(self, *words, width=80, height=24, **environment):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.screen = pyte.Screen(width, height)
        self._stream, self._theirs = pyte.ByteStream(self.screen), theirs
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRAWS, *words],
            **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
            env={**kept, "TERM": "xterm", **environment},
            preexec_fn=self._take,
        )
        os.set_blocking(self.ours, False)

    @staticmethod
    def _take():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def read(self):
        try:
            self._stream.feed(os.read(self.ours, 1 << 16))
        except BlockingIOError:
            time.sleep(0.01)
        return self.text

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def colours(self):
        return {cell.fg for row in self.screen.buffer.values() for cell in row.values()}

    def wait_for(self, condition):
        deadline = time.monotonic() + 60
        while not condition(self.read()):
            assert time.monotonic() < deadline, self.text

    def end(self):
        """Return the exit code, and whether the terminal is as it was."""
        self.wait_for(lambda _: self.process.poll() is not None)
        for _ in range(3):
            self.read()
        return self.process.returncode, termios.tcgetattr(self._theirs) == self.before

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self._theirs)


@pytest.fixture
def terminal():
    made = []

    def make(*words, **more):
        made.append(Terminal(*words, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_a_person_sees(width, terminal):
    shown = terminal(width=width)
    shown.wait_for(lambda text: "q quits" in text)
    lines, colours = [line for line in shown.text.split("\n") if line], shown.colours
    os.write(shown.ours, b"xq")

    assert lines[0].startswith("run 20261129-1025, ")
    assert lines[1].split()[:2] == ["NODE", "CPU"]
    assert [line.split()[0] for line in lines[2:5]] == ["gpu01", "gpu02", "gpu03"]
    assert "! no answer" in lines[4]
    assert lines[5].startswith("RANK  NODE")
    assert lines[-1] == "q quits; the run continues"
    assert colours == {"default", "brown"}
    assert shown.end() == (0, True)
    # The table stays, what is to be pressed does not.
    assert "gpu03" in shown.text and "q quits" not in shown.text


def test_a_screen_that_is_lower_than_the_tables_and_has_no_colours(terminal):
    shown = terminal(height=9, NO_COLOR="1")
    shown.wait_for(lambda text: "q quits" in text)
    lines = shown.text.split("\n")
    colours = shown.colours
    os.write(shown.ours, b"q")

    assert lines[0].startswith("run 20261129-1025, ")
    assert colours == {"default"}
    assert shown.end() == (0, True)


KEYS = {"Ctrl-C": b"\x03", "Ctrl-D": b"\x04"}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_leaves_and_no_other_is_shown(key, terminal):
    shown = terminal()
    shown.wait_for(lambda text: "q quits" in text)
    os.write(shown.ours, b"zzz\n")
    os.write(shown.ours, key)

    assert shown.end() == (0, True)
    assert "zzz" not in shown.text


def test_ctrl_c_leaves_also_where_another_key_is_just_being_read(terminal, tmp_path):
    shown = terminal("late", str(tmp_path / "reads"))
    shown.wait_for(lambda text: "q quits" in text)
    os.write(shown.ours, b"z")
    shown.wait_for(lambda _: (tmp_path / "reads").exists())
    os.write(shown.ours, b"\x03")

    assert shown.end() == (0, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(number, terminal):
    shown = terminal()
    shown.wait_for(lambda text: "q quits" in text)
    shown.process.send_signal(number)

    assert shown.end() == (128 + number, True)


def test_the_end_of_the_run_is_the_end(terminal):
    shown = terminal("ends")

    assert shown.end() == (0, True)
    assert "gpu01" in shown.text


def test_an_error_leaves_the_terminal_as_it_was(terminal):
    shown = terminal("breaks")

    assert shown.end() == (1, True)
    assert "IndexError" in shown.text
