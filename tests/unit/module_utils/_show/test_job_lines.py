# SPDX-License-Identifier: Apache-2.0
"""A log is shown as a whole where each of its lines would come out as it is, and line by line where one would not."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import Logs
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from ansible_collections.madctl.multinode.plugins.module_utils._show.rows import LONGEST

PLAIN = b"one\n\ttwo, ~ and so on\n\nthree"


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


def shown(data, size, mask=None):
    """Show a log that comes in pieces of one size, as a screen does; return its lines, and whether all came as a whole."""
    logs, found, whole = Logs(mask or Mask()), [], True
    for piece in pieces(data, size):
        lines = logs.block("a", "runner.out", piece)
        if lines is None:
            whole = whole and b"\n" not in piece
            found += logs.feed("a", "runner.out", piece)
        else:
            found += lines.decode().split("\n")
    return found + [text for _, _, text in logs.end()], whole


def by_line(data, mask=None):
    logs = Logs(mask or Mask())
    return logs.feed("a", "runner.out", data) + [text for _, _, text in logs.end()]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_what_any_terminal_shows_comes_as_a_whole(size):
    lines, whole = shown(PLAIN, size)

    assert lines == by_line(PLAIN) == ["one", "\ttwo, ~ and so on", "", "three"]
    assert whole


ODD = {
    "escape": b"one\n\x1b[2Jtwo\nthree\n",
    "progress": b"1%\r2%\r3%\nnext\n",
    "carriage return": b"one\r\ntwo\r\n",
    "not ASCII": "eins\nzwölf\n".encode(),
    "turns the writing round": "a\n\u202eb\n".encode(),
    "bytes": b"one\n\xff\xfe\n",
    "nothing": b"one\n\0\n",
    "delete": b"one\n\x7f\n",
    "long": b"one\n" + b"x" * (LONGEST + 9) + b"\ntwo\n",
    "long to the end": b"one\n" + b"x" * (LONGEST + 9),
}


@pytest.mark.parametrize("size", [5, LONGEST - 1, 1 << 18])
@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_what_must_be_inspected_is(data, size):
    lines, _ = shown(data, size)

    assert [line.rstrip(" …") for line in lines] == [line.rstrip(" …") for line in by_line(data)]


@pytest.mark.parametrize("data", [data for name, data in ODD.items() if name != "long to the end"])
def test_what_must_be_inspected_never_comes_as_a_whole(data):
    assert Logs(Mask()).block("a", "runner.out", data) is None


@pytest.mark.parametrize("size", [2, 4, 9])
def test_a_secret_is_hidden_whatever_piece_it_comes_in(size):
    lines, _ = shown(b"it is s3cret-value\nend\n", size, Mask(["s3cret-value"]))

    assert lines == ["it is ***", "end"]
