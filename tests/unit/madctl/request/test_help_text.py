# SPDX-License-Identifier: Apache-2.0
"""The help of every command: examples that can be typed, what matters first, and lines that fit."""

import re
import shlex

import pytest

from madctl import cli
from madctl.request import help_text
from madctl.request.help_text import Example
from madctl.request.parser import Parser


def below(parser):
    """List a parser and those of its commands."""
    return [parser, *(one for child in parser.commands.values() for one in below(child))]


PARSERS = {parser.prog: parser for parser in below(cli.build_parser())}
SHORT = ("madctl launch", "madctl check")


@pytest.mark.parametrize("name", PARSERS)
def test_every_command_has_an_example(name):
    assert PARSERS[name].examples
    for example in PARSERS[name].examples:
        assert example.line in re.sub(r" \\\n +", " ", help_text.text(PARSERS[name], 80, False))


EXAMPLES = [example.line for parser in PARSERS.values() for example in parser.examples]
COMMANDS = [found for line in EXAMPLES for found in re.findall(r"madctl [^()|>]*[^()|> ]", line)]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_example_can_be_typed(line):
    options = cli.parsed(shlex.split(line)[1:])

    assert options.command
    assert options.notice is None


@pytest.mark.parametrize("whole", [False, True], ids=["short", "whole"])
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", PARSERS)
def test_lines_fit(name, width, whole):
    lines = help_text.text(PARSERS[name], width, whole).splitlines()

    assert [line for line in lines if len(line) > width and len(line.split()) > 1] == []
    assert [line for line in lines if line != line.rstrip()] == []
    words = help_text.text(PARSERS[name], 10_000, whole).split()
    assert [word for line in lines for word in line.split() if word != "\\"] == words, "none was broken"


@pytest.mark.parametrize("name", SHORT)
def test_what_matters_comes_first_and_the_rest_is_asked_for(name):
    short, whole = (help_text.text(PARSERS[name], 80, whole) for whole in (False, True))
    options = {option.spelling for group in help_text.groups(PARSERS[name]) for option in group.options}
    shown = re.findall(r"^  (-.*?)(?:  |$)", short, re.M)

    assert len(shown) == 10
    assert set(shown) < options
    assert short.endswith(f"All options: {name} --help-all\n")
    assert len(short.splitlines()) <= 30, "which is one screen"
    assert {option for option in options if f"  {option}" not in whole} == set()
    assert "--help-all" in whole


def test_a_command_with_few_options_shows_them_all():
    assert "--help-all" not in help_text.text(PARSERS["madctl status"], 80, False)


def small():
    parser = Parser(prog="p", description="do it.")
    parser.add_argument("run", nargs="?", metavar="RUN", help="which one")
    parser.add_argument("--name", metavar="NAME", help="a name that has a rather long explanation")
    group = parser.add_argument_group("more")
    group.add_argument("--a-rather-long-option-of-some-kind", metavar="VALUE", help="below")
    group.add_argument("--how", choices=["fast", "well"], help="either")
    parser.examples = [Example("do all of it", "p --name a-name --how well a-run-with-a-name")]
    return parser


def test_text():
    assert (
        help_text.text(small(), 40, False)
        == """\
usage: p [RUN] [OPTION…]

Do it.

more:
  --a-rather-long-option-of-some-kind VALUE
                below
  --how fast|well
                either

options:
  [RUN]         which one
  --name NAME   a name that has a rather
                long explanation
  -h, --help    print this help and exit

example:
  do all of it:
    p --name a-name --how well \\
      a-run-with-a-name
"""
    )


@pytest.mark.parametrize("words", [["launch", "--help"], ["help", "launch"]])
def test_help_is_as_wide_as_columns_says(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")

    assert cli.main(words) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) in range(40, 51)


def test_all_options_can_be_asked_for(capsys):
    assert cli.main(["launch", "--help-all"]) == 0
    assert "--force-mirror-local PATH" in capsys.readouterr().out


def test_a_misspelled_help_is_found(capsys):
    assert cli.main(["hlep"]) == 2
    assert "did you mean help?" in capsys.readouterr().err
