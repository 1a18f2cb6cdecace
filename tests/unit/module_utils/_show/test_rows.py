# SPDX-License-Identifier: Apache-2.0
"""Rows of progress bars as a terminal would show them, in bounds; real tqdm writes them, and pyte is the judge."""

import io

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import Logs, harmless
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from ansible_collections.madctl.multinode.plugins.module_utils._show.rows import LONGEST, MOST_ROWS, Rows

UP = b"\x1b[A"


def bars(depth, leave):
    """What tqdm writes for bars within bars."""
    written = io.StringIO()

    def nest(level):
        if level < depth:
            for _ in tqdm(range(3), f"level {level}", file=written, mininterval=0, ncols=40, leave=leave or not level):
                nest(level + 1)

    nest(0)
    return written.getvalue().encode()


def shown(lines):
    return [line for line in (harmless(row).rstrip() for row in lines) if line]


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("leave", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_bars_look_as_they_do_on_a_terminal(depth, leave, size):
    data, rows, lines = bars(depth, leave), Rows(Mask()), []
    screen = pyte.Screen(100, 100)
    stream = pyte.ByteStream(screen)
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        lines += rows.feed(piece)
        stream.feed(piece.replace(b"\n", b"\r\n"))
        if piece.endswith((b"]", UP)):
            assert shown([*lines, *rows.rows]) == [line.rstrip() for line in screen.display if line.strip()]
    lines += rows.end()

    assert shown(lines) == [line.rstrip() for line in screen.display if line.strip()]
    # Nothing but ends became lines: no state is repeated.
    assert all("100%" in line for line in shown(lines)), shown(lines)
    assert len(lines) == (sum(3**level for level in range(depth)) if leave else 1)


def test_a_line_ends_at_once_and_a_bar_when_nothing_has_come_back_to_it():
    rows = Rows(Mask())
    assert rows.feed(b"one\ntwo\r\n") == [b"one", b"two\r"] and not rows.is_waiting
    assert rows.feed(b"\r10%\r20%\n") == [] and rows.is_waiting
    assert rows.settle() == []
    assert rows.settle() == [b"\r20%"] and not rows.is_waiting


def test_bars_one_after_the_other_wait_for_one_row_only():
    rows = Rows(Mask())
    found = [rows.feed(b"\rbar %d\n" % number) for number in range(4)]

    assert found == [[], [b"\rbar 0"], [b"\rbar 1"], [b"\rbar 2"]]
    assert rows.feed(b"plain\n") == [b"\rbar 3", b"plain"]


def nested():
    rows = Rows(Mask())
    assert rows.feed(b"\router\n\rinner" + UP + b"\router 2") == []
    return rows


def test_nested_bars_end_when_the_cursor_is_left_below_them():
    rows = nested()
    assert [row for _ in range(30) for row in rows.settle()] == []
    rows.feed(b"\n\rinner 2\n")
    assert rows.is_waiting
    settled = [row for _ in range(30) for row in rows.settle()]

    assert settled == [b"\router 2", b"\rinner 2"] and rows.is_plain


def test_lines_after_nested_bars_are_lines_again():
    rows = nested()
    found = [line for number in range(100) for line in rows.feed(b"\r%d\n" % number)]

    assert shown(found)[-90:] == [str(number) for number in range(9, 99)]
    assert rows.feed(b"\n") and rows.feed(b"x\ny\n")[-1] == b"y"


def test_a_row_that_was_wiped_out_is_no_line():
    rows = nested()
    rows.feed(b"\n\r     " + UP + b"\r     \r")

    assert rows.end() == []


ODD = st.sampled_from([b"\n", UP, b"\x1b[9A", b"\x1b[0A", b"\x1b[", b"A", b"\r", b"x", b"bar", b"y" * 9000, b"\xe2"])


@given(st.lists(ODD, max_size=60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_whatever_comes_is_bounded_and_in_rows(pieces, settles):
    rows, count = Rows(Mask()), 0
    for piece, settle in zip(pieces, settles, strict=False):
        count += len(rows.feed(piece)) + (len(rows.settle()) if settle else 0)
        assert len(rows.rows) <= MOST_ROWS + 1 and sum(map(len, rows.rows)) <= LONGEST
    written = b"".join(pieces)
    assert count + len(rows.end()) <= written.count(b"\n") + 1 + len(written) // LONGEST


def test_a_tower_of_bars_is_as_high_as_rows_are_kept():
    rows = nested()
    for height in range(2, 40):
        rows.feed(b"\n" * height + b"\rbar %d" % height + UP * height + b"\router")

    assert len(rows.rows) == MOST_ROWS + 1 and harmless(rows.rows[-1]) == "bar 39"


@pytest.mark.parametrize("update", [b"\r%5d of 100000", b"%5d of 100000\r"])
def test_ten_thousand_states_keep_one(update):
    rows = Rows(Mask())
    for number in range(10_000):
        assert rows.feed(update % number) == []
        assert len(rows.rows[0]) < 40

    assert shown(rows.rows) == [" 9999 of 100000"]


# -- of all logs ------------------------------------------------------------------------------------


def unfinished(data, secrets=(), with_colours=False):
    logs = Logs(Mask(secrets), with_colours)
    logs.feed("n", "rank-0.out", data)
    return [text for _, _, text in logs.unfinished(lambda host, log: (host, log) == ("n", "rank-0.out"))]


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"ready? ", ["ready? "]),
        (b"\r  5%", ["  5%"]),
        (b" 5%\r", [" 5%"]),
        (b"line\n", []),
        (b"\r     \r", []),
        (b"\router\n\rinner" + UP, ["outer", "inner"]),
        ("half a █".encode()[:-1], ["half a "]),
        (b"\x1b[31mred \x1b[3", ["red "]),
        (b"\x1b[2J", ["\\x1b[2J"]),
    ],
)
def test_what_is_unfinished_is_whole_and_harmless(data, texts):
    assert unfinished(data) == texts


def test_no_part_of_a_secret_is_in_what_is_unfinished():
    for end in range(len(b"hunter22") + 1):
        assert unfinished(b"key: " + b"hunter22"[:end], ["hunter22"]) == ["key: " + "***" * (end == 8)]
    assert unfinished(b"key: hun\x1b[1mte", ["hunter22"], with_colours=True) == ["key: "]


def test_a_secret_is_found_behind_colours():
    logs = Logs(Mask(["hunter22"]), with_colours=True)

    assert logs.feed("n", "rank-0.out", b"\x1b[31mhun\x1b[0mter22\n\x1b[31mred\n") == ["***", "\x1b[31mred\x1b[0m"]


def test_lines_that_settle_come_with_their_log():
    logs = Logs(Mask())
    logs.feed("n", "rank-1.out", b"\r100%\n")
    assert not logs.is_settled and list(logs.settle()) == []
    assert list(logs.settle()) == [("n", "rank-1.out", ["100%"])]
    assert logs.is_settled
