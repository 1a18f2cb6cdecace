# SPDX-License-Identifier: Apache-2.0
"""Durations that were measured replace those that a page shows, and nothing else changes."""

from docs.recordings import durations
from tests.integration.reader_shell import is_like


def test_a_duration_is_the_one_that_was_printed():
    shown = ["go      started", "done    succeeded after 6.2 s on 2 nodes"]
    printed = ["go      started", "done    succeeded after 12 s on 2 nodes"]

    assert durations.renewed(shown, printed, is_like) == printed


def test_columns_stay_where_they_are():
    shown = ["a  stopped  9.4 s     2026-11-25"]
    printed = ["a  stopped  100.1 s  2026-11-25"]

    assert durations.renewed(shown, printed, is_like) == ["a  stopped  100.1 s   2026-11-25"]


def test_lines_that_are_alike_are_taken_in_their_order():
    shown = ["up in 1 s", "…", "up in 1 s"]

    assert durations.renewed(shown, ["up in 2 s", "down", "up in 3 s"], is_like) == ["up in 2 s", "…", "up in 3 s"]


def test_what_was_not_printed_stays():
    shown = ["up in 1 s", "ended after 3 s, …"]

    assert durations.renewed(shown, ["down", "ended after 4 s, 5 s late"], is_like) == shown


def test_only_the_lines_of_the_session_are_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("up in 1 s\n$ up\nup in 1 s\nup in 1 s\n")

    durations.renew(page, 3, ["up in 1 s"], "up in 7 s\n", is_like)

    assert page.read_text() == "up in 1 s\n$ up\nup in 7 s\nup in 1 s\n"
