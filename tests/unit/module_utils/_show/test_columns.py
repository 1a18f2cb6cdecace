# SPDX-License-Identifier: Apache-2.0
"""Columns as a terminal shows them."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show import columns


@pytest.mark.parametrize(
    ("text", "expected"), [("", 0), ("node", 4), ("é", 1), ("e\u0301", 1), ("节点", 4), ("a节", 3)]
)
def test_width(text, expected):
    assert columns.width(text) == expected


def test_every_column_is_as_wide_as_its_widest_cell_and_nothing_trails():
    assert columns.aligned([("HOST", "N", "WORK"), ("节点", 12, ""), ("a", None, "x y")]) == [
        "HOST  N     WORK",
        "节点  12",
        "a     None  x y",
    ]


def test_numbers_are_aligned_at_their_ends():
    assert columns.aligned([("A", "B"), ("xx", "1"), ("x", "10")], numbers=True) == ["A    B", "xx   1", "x   10"]


def test_no_cell_begins_a_line():
    assert columns.aligned([("a\nmadctl: forged", "b\x1b[2J")]) == ["a\\nmadctl: forged  b\\x1b[2J"]


@pytest.mark.parametrize(
    ("most", "expected"), [(9, "ab节点cd"), (8, "ab节点cd"), (6, "ab节点"), (3, "ab"), (0, ""), (-1, "")]
)
def test_cut(most, expected):
    assert columns.cut("ab节点cd", most) == expected


@pytest.mark.parametrize(
    ("most", "expected"), [(8, "ab节点cd"), (7, "ab节点…"), (6, "ab节…"), (2, "a…"), (1, "…"), (0, ""), (-1, "")]
)
def test_cut_with_a_mark(most, expected):
    assert columns.cut("ab节点cd", most, "…") == expected


def test_a_combining_mark_stays_with_its_letter():
    assert columns.cut("ae\u0301x", 2) == "ae\u0301"


ROWS = [("RUN", "NODES", "WORK"), ("r1", "gpu[01-16]", "train.py --lr 1"), ("r2", "节点", "x")]


def test_what_fits_is_not_cut():
    assert columns.fitted(ROWS, None) == columns.fitted(ROWS, 32) == columns.aligned(ROWS)


def test_the_last_column_is_cut_unless_told_otherwise():
    assert columns.fitted(ROWS, 26) == [
        "RUN  NODES       WORK",
        "r1   gpu[01-16]  train.py…",
        "r2   节点        x",
    ]


def test_the_widest_free_column_is_cut_first():
    assert columns.fitted(ROWS, 26, free=(-2, -1))[1] == "r1   gpu[01-16]  train.py…"
    assert columns.fitted(ROWS, 20, free=(-2, -1))[1] == "r1   gpu[01…  train…"
    assert columns.fitted(ROWS, 20, free=(1,))[1] == "r1   gpu[…  train.p…", "and then the last ones"


@pytest.mark.parametrize("wide", range(32))
def test_no_line_is_wider_than_the_terminal(wide):
    assert max(map(columns.width, columns.fitted(ROWS, wide, free=(-2, -1)))) <= wide


def test_a_long_cell_takes_no_time_of_its_own():
    assert columns.fitted([("WORK",), ("节" * 1_000_000,)], 9)[1] == "节节节节…"


def test_colours_are_those_of_cells_and_take_no_room():
    rows = [("FAIL", "reach", "gpus"), ("ok", "FAIL", "ok")]

    assert columns.aligned(rows, colours={"FAIL": columns.RED, "ok": columns.DIM}) == [
        "FAIL  reach  gpus",
        "ok    \x1b[31mFAIL\x1b[0m   \x1b[2mok\x1b[0m",
    ]
    assert columns.fitted(rows, 14, colours={"FAIL": columns.RED})[1] == "ok    \x1b[31mFAIL\x1b[0m   …"
