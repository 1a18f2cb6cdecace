# SPDX-License-Identifier: Apache-2.0
"""Tables of what a run uses: what matters most has its place on every screen."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show import colours, columns, usage_table
from tests.unit.module_utils import measured


def node(host, ranks=(), gpus=(), note="", is_odd=False, **more):
    return usage_table.Node(
        host, measured.sample(dict.fromkeys(ranks, measured.load(percent=99.0)), gpus, **more), note, is_odd
    )


def table(nodes, lags=(), width=None, height=None):
    found = usage_table.lines(nodes, dict(lags), width, height)
    return [colours.stripped(line) for line in found]


EIGHT = [measured.gpu(busy, [rank]) for rank, busy in enumerate((90, 90, 90, 90, 90, 90, 90, 10))]


def test_a_node_with_gpus():
    found = table([node("gpu01", range(2), EIGHT)])

    assert found == [
        "NODE   CPU  MEMORY      GPU     GPU MEMORY    POWER   TEMP   OUTPUT",
        "gpu01  50%  10/256 GiB  10-90%  800/1536 GiB  4000 W  60 °C  1 s",
        "",
        "RANK  NODE   CPU  MEMORY   GPU  PROCESSES  OUTPUT",
        "0     gpu01  99%  1.0 GiB  90%  1          1 s",
        "1     gpu01  99%  1.0 GiB  90%  1          1 s",
    ]


def test_gpus_that_are_alike_are_one_number():
    found = table([node("a", gpus=[measured.gpu(97.0), measured.gpu(95.0), measured.gpu(None)])])

    assert "  96%  " in found[1]


def test_what_lags_has_a_sign_and_a_colour():
    nodes = [node("a", [0, 1]), node("b", [2])]
    lags = {("a", 1): ["output", "cpu"]}
    found = usage_table.lines(nodes, lags, None, None)

    assert [line for line in map(colours.stripped, found) if "!" in line] == [
        *(
            "a     50%  10/256 GiB  1 s     ! a rank lags",
            "! 1   a     99%  1.0 GiB  1          1 s     ! lags: output, cpu",
        ),
    ]
    assert [columns.painted("! lags: output, cpu", columns.YELLOW) in line for line in found].count(True) == 1


def test_a_node_without_a_sample_is_in_the_table():
    found = table(
        [node("a"), usage_table.Node("b", None, "no answer", True), usage_table.Node("c", None, "later", False)]
    )

    assert found == [
        "NODE  CPU  MEMORY      OUTPUT  NOTE",
        "a     50%  10/256 GiB  1 s",
        "b     -    -           -       ! no answer",
        "c     -    -           -       later",
    ]


def test_a_rank_that_has_ended():
    ended = {**measured.load(percent=0.0, output=None), "has_ended": True}
    found = table([usage_table.Node("a", measured.sample({5: ended}), "", False)])

    assert found[-1].split() == ["5", "a", "none", "ended"]


def test_ranks_are_in_their_order_whatever_node_they_are_on():
    found = table([node("a", [10, 2]), node("b", [1])])

    assert [line.split()[0] for line in found[-3:]] == ["1", "2", "10"]


LAGS = {("gpu05", 45): ["output"]}


def many(count=16, each=8):
    return [node(f"gpu{at:02d}", range(at * each, at * each + each), EIGHT) for at in range(1, count + 1)]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("height", [4, 10, 24, 50, 400])
@pytest.mark.parametrize("count", [1, 2, 16, 64])
def test_no_screen_is_too_small(width, height, count):
    found = table(many(count), LAGS, width, height)

    assert len(found) <= max(height, 8)
    assert all(columns.width(line) <= width for line in found), found
    assert found[0].startswith("NODE")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_lags_comes_first_where_there_is_no_room_for_all(width):
    found = table(many(), LAGS, width, 24)
    rows = [line for line in found if line.startswith("gpu")]
    heads = [at for at, line in enumerate(found) if line.startswith("RANK")]

    assert rows[0].startswith("gpu05 ")
    assert found[heads[0] + 1].startswith("! 45 ")
    assert [line for line in found if line.startswith("and ")] == ["and 7 more nodes", "and 118 more ranks"]
    assert len(rows) + 7 == 16


def test_the_columns_that_matter_least_go_first():
    heads = {width: table(many(1), {}, width)[0].split() for width in (70, 60, 50, 40, 30)}

    assert "TEMP" in heads[70]
    assert "TEMP" not in heads[60]
    assert "POWER" not in heads[50]
    assert {"NODE", "GPU", "OUTPUT"} <= {*heads[40], *heads[30]}
    assert "GPU" in heads[30]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "none"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (10**6, "278 h")],
)
def test_how_long_ago(seconds, text):
    found = table([usage_table.Node("a", measured.sample(job=measured.load(percent=1.0, output=seconds)), "", False)])

    assert found[1].endswith(text)


def test_a_name_or_a_note_of_a_node_cannot_act_on_the_terminal():
    found = usage_table.lines([node("a\x1b[2J\nb", [0], note="x\x1b]0;y\x07", is_odd=True)], {}, 80, 24)

    assert not [line for line in found if "\n" in line or "\x07" in line or "\x1b[2J" in line]
