# SPDX-License-Identifier: Apache-2.0
"""How wide a screen is, and whether it has colours."""

import contextlib
import io

import pytest

from madctl.screen import display, terminal
from madctl.screen.problems import COLOURS


@pytest.mark.parametrize(
    ("told", "of_terminal", "expected"),
    [
        pytest.param(None, None, None, id="pipe"),
        pytest.param(None, 80, 80, id="terminal"),
        pytest.param(None, 0, None, id="terminal that does not know"),
        pytest.param("40", 80, 40, id="told on a terminal"),
        pytest.param("40", None, 40, id="told in a pipe"),
        *(pytest.param(text, 80, 80, id=repr(text)) for text in ("", "0", "-1", "x", "²", "9" * 30)),
    ],
)
def test_width(told, of_terminal, expected):
    environment = {} if told is None else {"COLUMNS": told}

    assert display.width(environment, of_terminal) == expected


@pytest.mark.parametrize(
    ("environment", "is_terminal", "expected"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm"}, False, False),
    ],
)
def test_colours(environment, is_terminal, expected):
    assert display.has_colours(environment, is_terminal) is expected


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(monkeypatch, *texts, **environment):
    """Return what a terminal gets."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    with contextlib.redirect_stderr(Terminal()) as stream:
        terminal.ERR.lines(texts, colours=COLOURS)
    return stream.getvalue().splitlines()


def test_one_word_of_a_line_is_coloured(monkeypatch):
    assert told(monkeypatch, "madctl: notice: a madctl: b", "notice: x", "plain") == [
        "\x1b[31mmadctl:\x1b[0m notice: a madctl: b",
        "\x1b[33mnotice:\x1b[0m x",
        "plain",
    ]


def test_a_text_brings_no_colour_of_its_own(monkeypatch):
    assert told(monkeypatch, "madctl: \x1b[32mall is well") == ["\x1b[31mmadctl:\x1b[0m \\x1b[32mall is well"]


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_without_colours_a_line_is_as_it_was(environment, monkeypatch):
    assert told(monkeypatch, "madctl: x", **environment) == ["madctl: x"]
