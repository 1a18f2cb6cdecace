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
