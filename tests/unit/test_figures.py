# SPDX-License-Identifier: Apache-2.0
"""Figures of the page about scale are those that the bench printed."""

from pathlib import Path

import pytest

from docs.generators import figures

PAGE = Path(__file__).parents[2] / "docs/explanation/scale.md"
PRINTED = """\
load 0.52 on 2 cores
hosts  what                  wall s   ratio  here s/host   ratio  there s/host   ratio  sent KiB  spread s
   64  clush, cold             3.51    1.00       0.0694    1.00        0.0331    1.00       5.0         -
   64  launch, cold            7.62    2.17       0.0889    1.28        0.0960    2.90     314.2     0.006
   64  check, open             1.55    4.60       0.5982    5.24        0.0700    2.80     161.9         -
  128  clush, cold            12.30    1.00       0.0694    1.00        0.0331    1.00       5.0         -

STAGE   WALL
total  1.0 s
2 nodes, 2 sessions

STAGE   WALL
total  4.0 s
64 nodes, 64 sessions
"""


def test_the_page_has_the_figures_that_were_measured_last():
    page = PAGE.read_text()

    assert figures.filled(page, figures.COST.read_text()) == page, "run make docs"


def test_a_row_is_what_was_printed_in_short():
    assert figures.cost(PRINTED).splitlines()[2:] == [
        "| 64 | clush | 3.5 s | 1 | 69 ms | 1 | 33 ms | 1 | 5 KiB |",
        "| 64 | launch, without connections | 7.6 s | 2.2 | 89 ms | 1.3 | 96 ms | 2.9 | 314 KiB |",
    ]


def test_the_load_of_the_machine_is_said():
    assert figures.machine(PRINTED).endswith("with 2 cores, whose load was 0.52 before the start.\n")


def test_stages_are_those_of_many_nodes():
    assert figures.stages(PRINTED) == "```\nSTAGE   WALL\ntotal  4.0 s\n64 nodes, 64 sessions\n```\n"


def test_a_page_without_marks_is_an_error():
    with pytest.raises(ValueError, match="no marks for machine"):
        figures.filled("nothing", PRINTED)
