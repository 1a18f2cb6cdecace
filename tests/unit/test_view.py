# SPDX-License-Identifier: Apache-2.0
"""What reaches the screen: harmless bytes, folded problems."""

import pytest

from madctl.errors import Problem
from madctl.view import folded, harmless

LINES = {
    b"plain": "plain",
    "ünï".encode(): "ünï",
    b"\xff\xfe": "\\xff\\xfe",
    b"\x1b[2J": "\\x1b[2J",
    b"nul\x00": "nul\\x00",
    b"10%\r50%\r100%": "100%",
    b"dos\r": "dos",
    b"a\tb": "a\tb",
}


@pytest.mark.parametrize("line", LINES)
def test_no_byte_moves_the_cursor(line):
    assert harmless(line) == LINES[line]


def test_nodes_with_the_same_problem_share_a_line():
    same = [Problem("PORT_IN_USE", "busy", host, "wait") for host in ("gpu01", "gpu02", "gpu04")]

    assert folded([*same, Problem("NO_GPU", "none"), Problem("PORT_IN_USE", "other", "gpu03")]) == [
        "gpu[01-02,04]: busy; wait [PORT_IN_USE]",
        "none [NO_GPU]",
        "gpu03: other [PORT_IN_USE]",
    ]
