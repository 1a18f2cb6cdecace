# SPDX-License-Identifier: Apache-2.0
"""What happened, put together from a story, and where it is drawn."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madctl.records.run_story import Entry
from madctl.report import history, telling, timeline
from tests.unit.madctl.report import runs


def known(facts):
    found = history.of(facts, history.entries_of(facts))
    assert found is not None
    return found


def part(facts, host, attempt=1):
    return next(one for one in known(facts).parts if (one.host, one.attempt) == (host, attempt))


def test_a_node_goes_through_its_stages():
    found = part(runs.succeeded(), "gpu01")

    assert [(name, at - runs.BEGAN) for name, at in found.stages] == [
        ("probe", 1.0),
        ("arm", 2.0),
        ("go", 3.0),
        ("ranks", 4.5),
    ]
    assert (found.began, found.ended, found.how) == (runs.BEGAN, runs.BEGAN + 60, history.OK)
    assert [(life.rank, life.how) for life in found.ranks] == [(0, history.OK), (1, history.OK)]


def test_the_order_of_entries_and_copies_of_them_do_not_matter():
    facts = runs.restarted()
    mixed = [*facts.entries, *facts.entries[::2]]
    random.Random(5).shuffle(mixed)

    assert known(replace(facts, entries=mixed)) == known(facts)


def test_what_failed_first_is_marked_and_what_was_told_to_end_is_not_a_failure():
    facts = runs.failed()
    found = known(facts)

    assert found.failed == {1: runs.BEGAN + 59}
    ranks = {life.rank: life.how for one in found.parts for life in one.ranks}
    assert ranks == {0: history.STOPPED, 1: history.STOPPED, 2: history.STOPPED, 3: history.FAILED}
    assert [one.how for one in found.parts] == [history.STOPPED, history.FAILED]


def test_attempts_are_told_apart_and_a_replaced_node_has_a_row_of_its_own():
    found = known(runs.restarted())

    assert [(one.host, one.attempt) for one in found.parts] == [("gpu01", 1), ("gpu01", 2), ("gpu02", 2), ("gpu09", 1)]
    assert part(runs.restarted(), "gpu02", 2).gaps == ((runs.BEGAN + 100, runs.BEGAN + 120),)
    assert found.failed == {1: runs.BEGAN + 50}, "the first attempt failed, the last one did not"


def test_a_lost_node_was_silent_until_it_was_given_up():
    found = part(runs.lost(), "gpu02")

    assert (found.how, found.said) == ("lost", "no node reaches it any more")
    assert found.gaps == ((runs.BEGAN + 40, runs.BEGAN + 57),)
    assert {life.how for life in found.ranks} == {"lost"}


def test_a_run_that_goes_on_has_no_ends():
    found = known(runs.running())

    assert {one.how for one in found.parts} == {history.OPEN}
    assert found.ended == runs.BEGAN + 30
    rows = timeline.panels(found)[0].rows
    assert {mark.kind for row in rows for mark in row.marks} == {history.OPEN}


def test_without_any_time_there_is_no_timeline():
    facts = runs.bare()

    assert history.of(facts, history.entries_of(facts)) is None


# -- geometry --------------------------------------------------------------------------------------


def drawn(facts):
    return timeline.panels(known(facts))


@pytest.mark.parametrize("case", [name for name in runs.CASES if name != "bare"])
def test_everything_is_within_the_drawing(case):
    for panel in drawn(runs.CASES[case]()):
        for row in panel.rows:
            assert all(0 <= box.x <= box.x + box.width <= 100.01 for box in row.boxes)
            assert all(0 <= line.x <= line.until <= 100 and 0 < line.y < row.height for line in row.lines)
            assert all(0 <= mark.x <= 100 and 0 < mark.y < row.height for mark in row.marks)
        assert all(0 <= one.x <= 100 for one in (*panel.ticks, *panel.rules))


def test_boxes_of_a_node_follow_each_other_without_a_hole():
    (row, _) = drawn(runs.failed())[0].rows
    boxes = [box for box in row.boxes if box.kind != "silent"]

    assert [box.kind for box in boxes] == ["probe", "arm", "go", "join", "run"]
    for one, other in zip(boxes, boxes[1:], strict=False):
        assert math.isclose(one.x + one.width, other.x, abs_tol=0.02)


def test_the_start_is_drawn_again_where_it_is_too_narrow_to_be_seen():
    assert len(drawn(runs.succeeded())) == 2
    names, known_record = ["gpu01", "gpu02"], runs.record(status="failed", ended=runs.BEGAN + 7)
    quick = replace(runs.failed(), record=known_record, entries=runs.story(names, 2) + runs.end(names, 2, 6.0, 3))
    assert len(drawn(quick)) == 1


def test_nodes_that_failed_are_drawn_first_where_there_are_many_and_no_more_than_fit():
    panel = drawn(runs.failed(200, 8, 1500))[0]

    assert len(panel.rows) == timeline.MOST_ROWS and len(panel.left_out) == 72
    assert panel.rows[0].host == "gpu188"
    assert {line.kind for line in panel.rows[0].lines} == {history.FAILED, history.STOPPED}


@given(st.floats(0.001, 1e8))
def test_an_axis_of_any_length_has_a_few_moments(span):
    scale = timeline.Scale(runs.BEGAN, runs.BEGAN + span)
    found = timeline._ticks(history.History(runs.BEGAN, runs.BEGAN + span, (), {}, None), scale)

    assert 1 <= len(found) <= 9
    assert len({tick.label for tick in found}) == len(found)


# -- sentences -------------------------------------------------------------------------------------


def told(facts):
    entries = history.entries_of(facts)
    return [(one.stage, one.text) for one in telling.happenings(facts, entries, runs.BEGAN)[0]]


def test_the_story_is_told_in_the_words_of_the_screen():
    assert told(runs.failed()) == [
        ("probe", "2 nodes answered"),
        ("plan", "2 nodes, 4 ranks"),
        ("arm", "2 nodes ready"),
        ("go", "started on 2 nodes"),
        ("ranks", "all 4 joined"),
        ("fail", "gpu02 rank 3: exit code 1"),
        ("done", "failed after 60 s"),
    ]


def test_a_restart_says_why_and_which_node_was_replaced():
    text = dict(told(runs.restarted()))["restart"]

    assert text == "1 of 3: attempt 1 failed: gpu09 rank 2: exit code 1; gpu02 replaces gpu09"
    assert ("link", "gpu02 is back") in told(runs.restarted())


def test_many_failing_ranks_are_not_all_told():
    facts = runs.failed(4, 8, 3)
    exits = [
        Entry(runs.BEGAN + 59 + rank / 100, 1, {"event": "rank_exit", "host": "gpu02", "rank": rank, "exit_code": 1})
        for rank in range(8, 30)
    ]
    found = told(replace(facts, entries=[*facts.entries, *exits]))

    assert [text for stage, text in found if stage == "fail"][-1] == "more ranks failed"
    assert len([stage for stage, _ in found if stage == "fail"]) == 9
