# SPDX-License-Identifier: Apache-2.0
"""Colours pass, are cut and taken away; nothing else of a job acts on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._show import colours
from ansible_collections.madctl.multinode.plugins.module_utils._show.columns import width
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import harmless

RED, RESET = "\x1b[31m", "\x1b[0m"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        (f"{RED}red{RESET} x", f"{RED}red{RESET} x{RESET}"),
        (f"{RED}red", f"{RED}red{RESET}"),
        (f"{RED}red{RESET}", f"{RED}red{RESET}"),
        ("\x1b[38;5;208mo\x1b[m", f"\x1b[38;5;208mo\x1b[m{RESET}"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        (f"\x1b[{'1' * 33}m", f"\\x1b[{'1' * 33}m"),
        ("\x1b[31", "\\x1b[31"),
        ("\x1b[?25l", "\\x1b[?25l"),
        ("\x1b\x1b[31mx", f"\\x1b{RED}x{RESET}"),
    ],
)
def test_only_colours_pass_and_end_with_the_line(text, expected):
    assert colours.harmless(text) == expected
    assert colours.harmless(expected) == expected


PIECES = st.lists(
    st.sampled_from([RED, RESET, "\x1b[", "\x1b", "31m", "a", "漢", "e\u0301", "\t", "\x1b[2J", "\r", "│"])
)


@given(PIECES, st.integers(0, 12))
def test_a_cut_is_narrow_and_keeps_sequences_whole(pieces, columns):
    text = harmless("".join(pieces).encode(), with_colours=True)
    cut = colours.fitted(text, columns)

    assert width(colours.stripped(cut)) <= columns
    assert "\x1b" not in colours.stripped(cut)
    assert colours.stripped(text).replace("\t", " ").startswith(colours.stripped(cut))
    assert "\x1b" not in cut or cut.endswith(RESET)


def test_what_fits_is_shown_as_it_is():
    assert colours.fitted(f"{RED}red{RESET}", 3) == f"{RED}red{RESET}"
    assert colours.fitted(f"{RED}red{RESET} and blue", 5) == f"{RED}red{RESET} a{RESET}"


@pytest.mark.parametrize("line", [b"x", b"\x1b[31mx\x1b[0m", b"\x1b[1;2;3mx"])
def test_without_colours_nothing_is_left_of_them(line):
    assert colours.without(line) == b"x"
