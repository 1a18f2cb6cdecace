# SPDX-License-Identifier: Apache-2.0
"""What a person sees at three widths: nothing that the terminal has to break, and colours that mean something."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

import pyte
import pytest

from tests.integration.command import EXAMPLE, MADCTL, madctl

WIDTHS = (40, 80, 200)
LINES = 120
RED, YELLOW = "red", "brown"  # in the words of pyte
SHARED = "/nowhere"  # No host of the lab has it.


def seen(width, *words, **environment):
    """Run a command on a terminal; return what is then on it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, width, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    env = {**kept, "TERM": "xterm", **environment}
    process = subprocess.Popen([MADCTL, *words], stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL, env=env)
    os.close(theirs)
    screen = pyte.Screen(width, LINES)
    stream = pyte.ByteStream(screen)
    try:
        while data := os.read(ours, 65536):
            stream.feed(data)
    except OSError:
        pass  # A terminal without a writer.
    os.close(ours)
    process.wait()
    return screen


def lines(screen):
    return [line.rstrip() for line in screen.display if line.strip()]


def colours_of(screen, text):
    """Return the colours of the first place where a text is seen."""
    row = next(at for at, line in enumerate(screen.display) if text in line)
    start = screen.display[row].index(text)
    return {screen.buffer[row][column].fg for column in range(start, start + len(text))}


@pytest.fixture(scope="module")
def checked(lab):
    """The screen of a check with a failure, by width."""
    words = ("check", "--lab", lab.name, "--hosts", "node[1-2]", "--shared-path", SHARED, EXAMPLE)
    return {width: seen(width, *words) for width in WIDTHS}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_checks_fits(width, checked):
    found = lines(checked[width])
    head = next(at for at, line in enumerate(found) if line.startswith("NODE"))
    columns = found[head].split()[1:]
    rows = [line for line in found[head + 1 :] if line.startswith("node")]
    worst = {column: {row.split()[at] for row in rows} - {"ok"} for at, column in enumerate(columns, 1)}

    assert (worst["storage"], worst["gpus"]) == ({"FAIL"}, {"warn"})
    assert all(row.index("FAIL") == found[head].index("storage") for row in rows)
    # A busy machine may have more to warn of; where there is no room, what is fine is left out.
    assert "reach" in columns if width > 100 else all(worst.values())
    # What is next is no rest of a row.
    assert found[head + 1 + len(rows)].startswith("notice: " if width > 100 else "all other checks: ok")


@pytest.mark.parametrize("width", WIDTHS)
def test_colours_mean_something(width, checked):
    screen = checked[width]

    assert (colours_of(screen, "FAIL"), colours_of(screen, "warn")) == ({RED}, {YELLOW})
    assert (colours_of(screen, "madctl:"), colours_of(screen, "notice:")) == ({RED}, {YELLOW})
    assert colours_of(screen, "storage") == colours_of(screen, f"{SHARED} does not exist"[:10]) == {"default"}


@pytest.mark.parametrize(("program", "verdict", "colour"), [("false", "failed", RED), ("true", "succeeded", "green")])
def test_a_verdict_has_a_colour(program, verdict, colour, lab, own_records):
    screen = seen(80, "launch", "--lab", lab.name, "--hosts", "node1", "--command", "--", program)

    assert colours_of(screen, f"done    {verdict}") == {colour}
    assert colours_of(screen, f"{verdict} after"[len(verdict) :]) == {"default"}


def test_messages_are_never_cut(checked):
    whole = "".join(checked[40].display)

    for part in ("madctl never creates it", "[MOUNT_MISSING]", "[NO_GPU]"):
        assert part.replace(" ", "") in whole.replace(" ", "")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_colours_where_they_are_not_wanted(environment, lab):
    screen = seen(80, "check", "--lab", lab.name, "--hosts", "node1", "--shared-path", SHARED, EXAMPLE, **environment)

    assert "FAIL" in "".join(screen.display)
    assert {cell.fg for row in screen.buffer.values() for cell in row.values()} == {"default"}


def test_a_pipe_has_no_width_but_what_columns_says(lab):
    words = ("check", "--lab", lab.name, "--hosts", "node1", "--shared-path", SHARED, EXAMPLE)
    free, narrow = madctl(*words), madctl(*words, env={"COLUMNS": "60"})

    assert max(map(len, free.out.splitlines())) > 80
    assert "all other checks: ok" in narrow.out
    assert "\x1b" not in free.out + free.err + narrow.out + narrow.err


def test_a_list_of_runs_is_cut_and_not_broken(launch, own_records):
    words = [f"word{number}" for number in range(30)]
    done = launch("--command", "--", "true", *words, "节点" * 20)
    assert done.code == 0, done.err

    for width in WIDTHS:
        head, row = lines(seen(width, "ps"))
        assert (head.split()[0], row.split()[0]) == ("RUN", done.json["run_id"])
        assert row.endswith("…")
    assert madctl("ps").out.splitlines()[1].endswith("节点'")


@pytest.mark.parametrize("words", [("--help",), ("launch", "--help"), ("check", "--help-all"), ("lab", "up", "--help")])
@pytest.mark.parametrize("width", WIDTHS)
def test_help_is_broken_between_words_only(width, words):
    found = seen(width, *words)
    told = {"\\", *madctl(*words, env={"COLUMNS": "1000"}).out.split()}

    assert {word for line in lines(found) for word in line.split()} <= told
