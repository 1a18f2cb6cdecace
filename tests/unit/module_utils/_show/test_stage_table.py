# SPDX-License-Identifier: Apache-2.0
"""The table of nodes × stages, and how it is drawn again in place."""

import pyte
import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show import redrawn
from ansible_collections.madctl.multinode.plugins.module_utils._show.stage_table import STAGES, Table

WIDE = (200, 50)


def event(kind, host="n1", **more):
    return {"event": kind, "host": host, **more}


def table(*events, stages=STAGES, hosts=("n1", "n2")):
    made = Table(stages)
    made.begin([{"host": host, "nproc_per_node": 2} for host in hosts])
    changed = [made.take(one) for one in events]
    return made, changed


ROWS = {
    "nothing yet": ([], "· · · ·"),
    "probed": ([event("probed", answered=True)], "✓ · · ·"),
    "silent": ([event("probed", answered=False)], "✗ · · ·"),
    "ready": ([event("probed", answered=True), event("ready")], "✓ ✓ · ·"),
    "started": ([event("ready"), event("started")], "· ✓ ✓ ·"),
    "one rank": ([event("joined")], "· · · 1/2"),
    "all ranks": ([event("joined"), event("joined")], "· · · 2/2"),
    "could not start": ([event("start_failed", message="x")], "· · ✗ ·"),
    "lost": ([event("started"), event("lost")], "· · ✗ ·"),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows(case):
    events, expected = ROWS[case]
    made, changed = table(*events)
    heading, first, second = (" ".join(line.split()) for line in made.lines(WIDE))

    assert (heading, first, second) == ("node probe arm go ranks", f"n1 {expected}", "n2 · · · ·")
    assert all(changed)


def test_what_changes_nothing_is_not_drawn():
    ready = event("ready")

    assert table(ready, ready, event("ready", "other"), event("exit"))[1] == [True, False, False, False]


def test_a_check_has_one_stage():
    assert table(stages=["probe"])[0].lines(WIDE) == ["node  probe", "n1    ·", "n2    ·"]


def test_spares_take_no_part_and_the_job_ends_it():
    made, _ = table(event("ready", "n2"))
    made.begin([{"host": "n2", "nproc_per_node": 1}])
    assert [line.split()[0] for line in made.lines(WIDE)] == ["node", "n2"]
    assert "✓" in made.lines(WIDE)[1]
    made.end()
    assert made.lines(WIDE) == []


def test_half_of_the_terminal_shows_who_is_behind():
    hosts = [f"n{number}" for number in range(100)]
    made, _ = table(*(event("ready", host) for host in hosts[:97]), hosts=hosts)
    lines = made.lines((12, 10))

    assert [line.split()[0] for line in lines] == ["node", "n97", "n98", "n99", "and"]
    assert max(map(len, lines)) <= 11 and lines[-1] == "and 97 more"


def test_lines_are_drawn_again_in_place():
    written = []
    drawing = redrawn.Redrawn(written.append)
    drawing.draw(["a", "b"])
    drawing.draw(["a", "b"])
    assert drawing and written == ["a\nb\x1b[1A\r"]
    drawing.draw(["c"])
    drawing.erase()
    drawing.erase()
    written.append("story\n")
    drawing.draw(["d"])
    seen = pyte.Screen(20, 5)
    pyte.Stream(seen).feed("".join(written).replace("\n", "\r\n"))

    assert [line.strip() for line in seen.display] == ["story", "d", "", "", ""]
    drawing.draw([])
    assert not drawing
